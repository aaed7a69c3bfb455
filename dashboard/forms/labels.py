"""What the fields of the admin's forms are called, and the sentence below them.

By model and field name; a field that is not named here keeps Django's words.
"""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """A label ("" keeps Django's) and a help text."""

    label: str = ""
    help: str = ""


LABELS: dict[str, dict[str, Words]] = {
    "tenant": {
        "name": Words(help="Lower-case letters, digits and hyphens; used in commands and reports."),
        "status": Words(help="A suspended tenant hands in nothing; a suspension stops what waits."),
        "status_reason": Words("Reason", "Shown to people who ask why."),
        "quota_per_hour": Words("Per hour"),
        "quota_per_day": Words("Per day"),
        "quota_action": Words(
            "The excess",
            "Delay: everything is taken, and waits for the next hour or day. Reject: it is refused "
            "when it is handed in, by API with 429, by SMTP with 452.",
        ),
        "weight": Words(help="Share of a busy site relative to other tenants."),
        "messages_per_second": Words(
            "Messages per second", "Of all its streams together; empty is without limit."
        ),
    },
    "stream": {
        "kind": Words(
            help="Transactional mail goes first and expires after 24 h, bulk after 120 h."
        ),
        "is_default": Words("Default", "Takes the mail that names no stream."),
        "pool": Words(help="The sources that this stream sends through."),
        "retry_steps": Words(
            "Waits", "Such as 1m,5m,15m,1h; empty follows the instance's schedule."
        ),
        "life_hours": Words("Life in hours", "After that waiting mail expires and is reported."),
        "sends_dsn": Words("Report failures", "To the reverse path, as RFC 3464 asks."),
        "messages_per_second": Words("Messages per second"),
        "messages_per_hour": Words("Messages per hour"),
        "messages_per_day": Words("Messages per day"),
    },
    "sendingdomain": {"domain": Words(help="Such as mail.example.org or bücher.example.")},
    "dkimkey": {
        "selector": Words(help="Such as 2026a; the record is published at it._domainkey.domain."),
        "algorithm": Words(help="RSA is understood everywhere; Ed25519 beside it costs little."),
        "active_from": Words("Signs from"),
        "active_until": Words("Signs until"),
    },
    "apikey": {
        "name": Words(help="What uses it, such as web shop."),
        "expires_at": Words("Expires", "Empty: never."),
    },
    "smtpcredential": {
        "username": Words("User name"),
        "name": Words(help="What uses it, such as ERP."),
        "expires_at": Words("Expires", "Empty: never."),
    },
    "pool": {
        "tenant": Words(help="Empty: shared by all tenants."),
        "overflow": Words(help="Takes what warming sources may not send; empty: that mail waits."),
    },
    "poolmember": {"weight": Words(help="Share relative to the others.")},
    "source": {
        "address": Words("IP address"),
        "ehlo_name": Words("EHLO name", "Empty: the instance's host name."),
        "status": Words(help="Draining finishes what is under way and takes nothing new."),
        "warmup_schedule": Words("Schedule", "Empty: the source is warm."),
        "warmup_started_on": Words("First day"),
        "kind": Words(help="A smart host takes the mail on and delivers it."),
        "host": Words("Host", "Name or IP address of the smart host."),
        "port": Words("Port", "Empty: 587. Port 465 speaks TLS from the first byte."),
        "tls": Words("TLS", "Required for a log-in; verified checks the certificate too."),
        "username": Words("User name", "Empty: no log-in."),
        "messages_per_second": Words("A second", "In all, to whomever; empty: no limit."),
        "messages_per_hour": Words("An hour"),
        "messages_per_day": Words("A day"),
    },
    "routingrule": {
        "position": Words(help="Rules with smaller numbers are asked first."),
        "condition": Words(
            help="Such as: domain_bounce_rate > 0.05 and domain_attempts >= 20. "
            "All names are in docs/reference/routing.md."
        ),
        "pool": Words(help="For the action pool."),
        "source": Words(help="For the action source, such as a smart host."),
        "priority": Words(help="For the action priority."),
        "reason": Words(help="Why mail is held, or what the bounce says after 550 5.7.1."),
    },
    "warmupschedule": {
        "spread_hours": Words("Spread over hours", "0: as fast as the other limits allow."),
        "min_sent_share": Words("Delivered at least", "Part of the stage, such as 0.9."),
        "max_deferral_rate": Words("Deferrals at most", "Of what the receivers judged."),
        "max_block_rate": Words("Blocks at most", "Refused for reputation or as spam."),
        "max_complaint_rate": Words("Complaints at most", "Of what was delivered."),
        "restart_after_days": Words(
            "Idle days", "After so many without mail it starts again at the first stage."
        ),
    },
    "shapingrule": {
        "match_kind": Words("For"),
        "match": Words(
            "Name", "Provider; or site name or MX suffix, not the domain of an address."
        ),
        "mx_suffixes": Words(
            "MX suffixes", "Of a provider that is not known yet, or that has more: a.com, b.com."
        ),
        "source": Words(help="Empty: for mail from every source."),
        "connections": Words(help="Open at once."),
        "connections_per_minute": Words("New connections a minute"),
        "messages_per_connection": Words("Messages per connection"),
        "tls": Words("TLS", "Opportunistic encrypts where offered; required never falls back."),
        "messages_per_second": Words("A second"),
        "messages_per_minute": Words("A minute"),
        "messages_per_hour": Words("An hour"),
        "messages_per_day": Words("A day"),
        "burst": Words(
            help="At once after a rest, of the fastest rate here; empty: what fits its period."
        ),
        "retry_steps": Words("Waits", "Such as 5m,30m,2h; the last is doubled up to 4 h."),
        "life_hours": Words("Life in hours", "Where the stream's is longer."),
    },
    "automationrule": {
        "name": Words(help="Lower-case letters, digits and hyphens."),
        "provider": Words(help="Empty: any, asked after those of the reply's provider."),
        "pattern": Words(
            help="Regular expression for the reply's text: lower case, without code and enhanced "
            "status, # for addresses, ids and numbers of five digits and more."
        ),
        "threshold": Words("Replies"),
        "window_seconds": Words("Within seconds"),
        "duration_seconds": Words("For seconds", "At most a week; then it ends by itself."),
        "rate_per_minute": Words("Messages a minute"),
        "messages_per_connection": Words("Messages per connection"),
    },
    "suspension": {
        "scope": Words("What"),
        "key": Words("Name", "Tenant, TENANT/CAMPAIGN, domain or site, provider, or source."),
        "reason": Words(help="Shown on the queue page and to those who ask."),
        "ends_at": Words("Ends", "Empty: until somebody resumes it."),
    },
    "suppression": {
        "origin": Words(help="What led to it: a reply, a person, a file."),
        "expires_at": Words("Ends", "Empty: never."),
    },
    "webhookendpoint": {"url": Words("URL", "https, reached from this host.")},
    "user": {"tenants": Words(help="For marketers: the tenants they look after.")},
}


def words_for(model_name: str, field: str) -> Words:
    """The words of a field, empty where Django's are good."""
    return LABELS.get(model_name, {}).get(field, Words())
