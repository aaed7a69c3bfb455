"""Which recipients a suspension reaches, for counting them before and holding them.

Lanes know their site, not its provider: the provider is told by the site's name, and lanes that
have not been looked up yet are not counted.
"""

from __future__ import annotations

from django.db.models import Q

from mta.control.names import Named
from mta.control.selection import Selection
from mta.delivery.shaping import rules
from mta.egress.models import SuspensionScope
from mta.policy.shaping import providers
from mta.policy.site import has_suffix
from mta.spool.models import Lane


def reach(named: Named) -> Selection:
    """Recipients of a scope and key, in whatever state."""
    scope, key = named.scope, named.key
    if scope == SuspensionScope.CAMPAIGN:
        tenant, _, campaign = key.partition("/")
        words = {"tenant": (tenant,), "campaign": (campaign,)}
        return Selection(words, Q(message__tenant__name=tenant, message__campaign=campaign))
    if scope == SuspensionScope.TENANT:
        return Selection({"tenant": (key,)}, Q(lane__tenant__name=key))
    if scope == SuspensionScope.SITE:
        return Selection({"site": (key,)}, Q(lane__site=key) | Q(lane__domain=key))
    if scope == SuspensionScope.PROVIDER:
        return Selection({"provider": (key,)}, Q(lane__site__in=sites_of(key)))
    return Selection({"source": (key,)}, Q(source__name=key))


def sites_of(provider: str) -> list[str]:
    """Sites with mail whose hosts lie below the provider's MX suffixes."""
    suffixes = providers(rules()).get(provider, ())
    seen = Lane.objects.exclude(site="").order_by().values_list("site", flat=True).distinct()
    # "(alt1|alt2).aspmx.l.google.com": what follows the alternation is a name.
    return [
        site
        for site in seen
        if any(has_suffix(site.rpartition(").")[2], suffix) for suffix in suffixes)
    ]
