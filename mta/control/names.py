"""What a name means that a person suspends: a scope of Suspension and its key."""

from __future__ import annotations

from dataclasses import dataclass

from mta.control import campaigns
from mta.control.refusal import Refused
from mta.delivery.shaping import rules
from mta.egress.models import Source, SuspensionScope
from mta.mail.address import AddressError, normalise_domain
from mta.policy.shaping import providers
from mta.spool.campaigns import key_of
from mta.spool.models import Lane
from mta.tenants.models import Tenant

NAME = "NAME"
KINDS = "tenant, campaign, site, provider or source"


@dataclass(frozen=True, slots=True)
class Named:
    """What a name means."""

    scope: str
    key: str


def find(name: str, scope: str = "", argument: str = NAME) -> Named:
    """The one thing of that name; Refused when there is none, or several and no scope."""
    found = meanings(name)
    if scope:
        found = [one for one in found if one.scope == scope]
    scopes = sorted({one.scope for one in found})
    if len(scopes) > 1:
        raise Refused(
            argument, f"{name!r} is the name of a {' and of a '.join(scopes)}: add --scope SCOPE."
        )
    if not found:
        raise Refused(
            argument,
            f"there is no {scope or KINDS} named {name!r}; mailq shows sites and tenants, "
            "a campaign is TENANT/CAMPAIGN.",
        )
    return found[0]


def meanings(name: str) -> list[Named]:
    """Everything that the name may mean, at most once a scope."""
    key = name.strip().lower()
    found = []
    if Tenant.objects.filter(name=key).exists():
        found.append(Named(SuspensionScope.TENANT.value, key))
    if Source.objects.filter(name=key).exists():
        found.append(Named(SuspensionScope.SOURCE.value, key))
    if key in providers(rules()):
        found.append(Named(SuspensionScope.PROVIDER.value, key))
    if campaign := campaign_named(name.strip()):
        found.append(Named(SuspensionScope.CAMPAIGN.value, campaign))
    if site := site_named(name.strip()):
        found.append(Named(SuspensionScope.SITE.value, site))
    return found


def site_named(name: str) -> str:
    """The key under which dispatch and resolve know the site; "" when it is none.

    A domain need not have any mail yet: mail can be suspended before it comes.
    """
    if Lane.objects.filter(site=name).exists():
        return name
    try:
        domain = normalise_domain(name)
    except AddressError:
        return ""
    return domain if "." in domain or Lane.objects.filter(domain=domain).exists() else ""


def campaign_named(name: str) -> str:
    """TENANT/CAMPAIGN of a campaign that has mail; "" when it is none."""
    tenant, slash, campaign = name.partition("/")
    owner = Tenant.objects.filter(name=tenant.lower()).first() if slash else None
    if owner is None or not campaigns.exists(owner, campaign):
        return ""
    return key_of(owner.name, campaign)


def keys_like(name: str) -> set[str]:
    """The keys under which the name may be suspended, though its mail may be gone by now."""
    word = name.strip()
    tenant, slash, campaign = word.partition("/")
    return {word, word.lower(), site_named(word), f"{tenant.lower()}{slash}{campaign}"} - {""}
