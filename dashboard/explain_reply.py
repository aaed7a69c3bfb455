"""What a reply would be taken for, and by which rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from mta import wiring
from mta.control.refusal import Refused
from mta.delivery.shaping import shipped
from mta.mail.reply import Reply
from mta.policy.logged_reply import read_logged_reply
from mta.policy.rules import STAGES, load_rules
from mta.policy.shaping import providers
from mta.policy.verdict import Verdict

#: Octets of an input line that are looked at: no reply is longer.
LONGEST_LINE = 65_536


@dataclass(frozen=True, slots=True)
class ReplyExplained:
    """The reply as it was read, and its verdict."""

    reply: Reply
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        """The object of `explain_reply -`: class, permanent, scope, action, rule."""
        return {
            "class": self.verdict.bounce_class,
            "permanent": self.verdict.permanent,
            "scope": self.verdict.scope,
            "action": self.verdict.action,
            "rule": self.verdict.rule,
        }


def explain_reply(line: str, *, stage: str = "dot", provider: str = "") -> ReplyExplained:
    r"""Classify a reply as people and logs write it ("\n" may be written out); never raises."""
    reply = read_logged_reply(line)
    return ReplyExplained(
        reply, wiring.classifier().classify(reply, stage=stage, provider=provider)
    )


def check_place(stage: str, provider: str) -> None:
    """Refused when there is no such stage or provider."""
    if stage not in STAGES:
        raise Refused("--stage", f"{stage!r} is no stage; give one of {', '.join(STAGES)}.")
    known = {name for rule in load_rules() for name in rule.providers} | set(providers(shipped()))
    if provider and provider not in known:
        raise Refused(
            "--provider", f"{provider!r} is not known; give one of {', '.join(sorted(known))}."
        )


def lines(stream: BinaryIO) -> Iterator[str]:
    """The lines of a stream without their ends, whatever octets they are; long ones are cut."""
    while line := stream.readline(LONGEST_LINE):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(LONGEST_LINE)
        yield line.rstrip(b"\r\n").decode("utf-8", "replace")
