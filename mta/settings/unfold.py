"""Settings of the admin's look: names, colours, the sidebar."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy

OPERATORS = "dashboard.roles.for_operators"


def table(title: str, icon: str, name: str, *, operators: bool = False) -> dict[str, Any]:
    """A sidebar item that leads to a list of the admin."""
    item = {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{name}_changelist")}
    return {**item, "permission": OPERATORS} if operators else item


NAVIGATION: list[dict[str, Any]] = [
    {
        "items": [
            {
                "title": "Overview",
                "icon": "space_dashboard",
                "link": reverse_lazy("dashboard:front"),
                "active": lambda request: request.path == "/",
            },
            {
                "title": "Queues",
                "icon": "stacks",
                "link": reverse_lazy("dashboard:queues"),
            },
            {
                "title": "Control mail",
                "icon": "rule",
                "link": reverse_lazy("dashboard:control"),
            },
            table("Messages", "mail", "spool_message"),
            table("Recipients", "alternate_email", "spool_recipient"),
            table("Attempts", "outgoing_mail", "spool_attempt"),
            table("Events", "bolt", "events_event"),
            table("Decisions", "gavel", "events_decision"),
        ]
    },
    {
        "title": "Sending",
        "separator": True,
        "items": [
            table("Tenants", "apartment", "tenants_tenant"),
            table("Streams", "alt_route", "tenants_stream"),
            table("Domains", "language", "tenants_sendingdomain"),
            table("DKIM keys", "verified_user", "tenants_dkimkey"),
            table("Suppressions", "block", "suppression_suppression"),
        ],
    },
    {
        "title": "Egress",
        "separator": True,
        "items": [
            table("Pools", "hub", "egress_pool"),
            table("Sources", "lan", "egress_source"),
            {
                "title": "Warmup",
                "icon": "local_fire_department",
                "link": reverse_lazy("dashboard:warmup"),
            },
            table("Warmup schedules", "stairs", "egress_warmupschedule"),
            table("Routing", "fork_right", "egress_routingrule", operators=True),
            table("Shaping", "tune", "egress_shapingrule", operators=True),
            table("Automations", "smart_toy", "egress_automationrule", operators=True),
            table("Suspensions", "pause_circle", "egress_suspension", operators=True),
            {
                "title": "Throttles",
                "icon": "speed",
                "link": reverse_lazy("dashboard:throttles"),
                "permission": OPERATORS,
            },
        ],
    },
    {
        "title": "Access",
        "separator": True,
        "items": [
            table("API keys", "key", "tenants_apikey"),
            table("SMTP credentials", "password", "tenants_smtpcredential"),
            table("Webhooks", "webhook", "events_webhookendpoint"),
            table("People", "group", "tenants_user", operators=True),
        ],
    },
    {
        "title": "System",
        "separator": True,
        "items": [
            {"title": "Flower", "icon": "local_florist", "link": reverse_lazy("flower")},
            {"title": "API reference", "icon": "api", "link": "/api/docs"},
            {"title": "Health", "icon": "monitor_heart", "link": reverse_lazy("dashboard:readyz")},
        ],
    },
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Mailmill",
    "SITE_HEADER": "Mailmill",
    "SITE_URL": "/",
    "SITE_SYMBOL": "mode_fan",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("dashboard/mill.svg"),
        }
    ],
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "8px",
    "STYLES": [lambda request: static("dashboard/mailmill.css")],
    "SCRIPTS": [lambda request: static("dashboard/live.js")],
    "COLORS": {
        "primary": {
            "50": "oklch(97.3% .02 196)",
            "100": "oklch(94.4% .04 196)",
            "200": "oklch(89.4% .07 196)",
            "300": "oklch(82.2% .105 196)",
            "400": "oklch(73.4% .118 196)",
            "500": "oklch(64.2% .11 196)",
            "600": "oklch(53.6% .094 196)",
            "700": "oklch(45.4% .079 196)",
            "800": "oklch(38.6% .065 196)",
            "900": "oklch(33.4% .053 196)",
            "950": "oklch(24.2% .04 196)",
        }
    },
    "COMMAND": {"search_callback": "dashboard.pages.search.command_results"},
    "SIDEBAR": {"show_search": True, "command_search": True, "navigation": NAVIGATION},
}
