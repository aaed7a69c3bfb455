"""Which automation a reply calls for, and what it orders then.

Rule 1: the first automation that matches the masked text counts the reply; it acts when it has
        counted its threshold within its window.
Rule 2: an automation that names a provider acts on all its sites, others on the one site.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from mta.policy.automation_rules import AutomationRule, asked
from mta.policy.classify import mask
from mta.policy.throttle_faults import Hold


@lru_cache(maxsize=1000)
def compiled(pattern: str) -> re.Pattern[str] | None:
    """The pattern; None for a broken one, which the validator has to refuse."""
    try:
        return re.compile(pattern)
    except re.error:
        return None


def matching(rules: Sequence[AutomationRule], provider: str, text: str) -> AutomationRule | None:
    """The automation that a reply text counts for."""
    masked = mask(text)
    for rule in asked(rules, provider):
        pattern = compiled(rule.pattern)
        if pattern is not None and pattern.search(masked):
            return rule
    return None


def ordered(rule: AutomationRule, reason: str, now: int) -> Hold:
    """What the automation orders from `now` (ms) on."""
    return Hold(
        rule=rule.name,
        action=rule.action,
        until=now + rule.duration_seconds * 1000,
        reason=reason,
        rate=rule.rate_per_minute / 60,
        connections=rule.most_connections,
        messages_per_connection=rule.messages_per_connection,
    )
