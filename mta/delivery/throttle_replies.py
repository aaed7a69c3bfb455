"""What a connection's replies say about the path, rather than about a recipient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mta import wiring
from mta.delivery.batch import Outcome
from mta.mail.reply import Reply
from mta.policy.verdict import Verdict

#: Nobody has been asked about an address yet.
SESSION = frozenset({"connect", "ehlo", "starttls"})
#: The bounce rule whose replies are about connections, not about messages.
CROWDED = "too-many-connections"


@dataclass(slots=True)
class Reading:
    """What was read; texts are replies, "" where there was none such."""

    answered: bool = False
    slow: str = ""
    crowded: str = ""
    blocked: str = ""
    block_at_once: bool = False
    unreachable: str = ""
    #: Every other text, how often it came, and the whole reply: automations look at them.
    texts: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def matters(self) -> bool:
        return bool(self.slow or self.crowded or self.blocked or self.unreachable)


def read_replies(outcomes: Sequence[Outcome], provider: str) -> Reading:
    """Read what was not accepted; what was no attempt says nothing."""
    found = Reading()
    for one in outcomes:
        if one.kind or one.stage in {"local", "dns"}:
            continue
        if one.code // 100 == 2:
            found.answered = True
            continue
        reply = Reply(one.code, one.enhanced, one.reply)
        verdict = wiring.classifier().classify(reply, stage=one.stage, provider=provider)
        words = f"{one.code or ''} {one.enhanced} {one.reply}".strip()
        if one.code:
            count, _ = found.texts.get(one.reply, (0, ""))
            found.texts[one.reply] = (count + 1, words)
            found.answered = found.answered or one.stage not in SESSION
        sort(found, verdict, one, words[:300])
    return found


def sort(found: Reading, verdict: Verdict, one: Outcome, words: str) -> None:
    """Put one reply where it belongs."""
    if verdict.rule == CROWDED:
        found.crowded = words
    elif verdict.action == "suspend" and verdict.bounce_class == "reputation":
        found.blocked, found.block_at_once = words, True
    elif verdict.action in {"slow", "suspend"}:
        found.slow = words
    elif verdict.bounce_class == "reputation" and verdict.scope == "site":
        found.blocked = words
    elif verdict.bounce_class == "connection" and one.stage in SESSION:
        found.unreachable = words
