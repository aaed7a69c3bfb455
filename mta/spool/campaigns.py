"""Campaigns that people have suspended: their mail is held, with words that find it again.

A suspended lane only waits; a campaign shares its lanes with others, so its recipients are held
one by one: those that wait by the order itself, those that come later when resolve meets them.
"""

from __future__ import annotations

from mta.egress.sources import snapshot, suspended

SCOPE = "campaign"


def key_of(tenant: str, campaign: str) -> str:
    """How a suspension names the campaign; names of tenants have no slash."""
    return f"{tenant}/{campaign}"


def words(key: str) -> str:
    """How the last word on a recipient begins that was held with its campaign."""
    return f"campaign {key} is suspended"


def any_suspended() -> bool:
    """Whether it is worth asking for the campaigns of messages at all; costs nothing."""
    return any(scope == SCOPE for scope, _ in snapshot().suspended)


def why_held(tenant: str, campaign: str) -> str:
    """Why mail of the campaign is held now; "" when it is not. A yes is never an old one."""
    key = key_of(tenant, campaign)
    return words(key) if campaign and suspended(SCOPE, key) else ""
