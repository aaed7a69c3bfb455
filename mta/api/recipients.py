"""Reads the recipients of a request: up to 10,000, so no serializer and no ORM per row.

Rule 1: a wrong address rejects its recipient; the others go on.
Rule 2: a wrong shape, or a template that cannot be rendered for somebody, refuses the request: the
        sender's program is wrong, and half a campaign is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mta.api.fields import metadata_fault
from mta.mail.address import AddressError, parse_address
from mta.mail.template import TemplateError
from mta.spool.inject import NewRecipient

ORDER = ("to", "substitutions", "metadata", "engaged")
MEMBERS = frozenset(ORDER)
#: Most errors in one answer; whoever has more mends these first.
MAX_ERRORS = 20
NOTHING: dict[str, Any] = {}

#: Tries the message for one recipient's substitutions; TemplateError when it cannot be rendered.
Check = Callable[[Mapping[str, Any]], object]


@dataclass(slots=True)
class Read:
    """What a request's recipients came to."""

    accepted: list[NewRecipient] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, index: int, to: str, reason: str) -> None:
        self.rejected.append({"index": index, "to": to[:320], "reason": reason})

    def wrong(self, place: int, member: str, detail: str, **more: Any) -> None:
        name = f"recipients[{place}]"
        self.errors.append(
            {"field": f"{name}.{member}" if member else name, "detail": detail} | more
        )


def read(items: list[Any], check: Check | None) -> Read:
    """Recipients of a request; `check` is None when the content takes no substitutions."""
    found = Read()
    accept = found.accepted.append
    templated = check is not None
    for index, item in enumerate(items):
        if is_simple(item, templated):
            substitutions, metadata, engaged = item.get("substitutions"), None, False
        else:
            if fault(found, index, item, templated):
                if len(found.errors) >= MAX_ERRORS:
                    break
                continue
            substitutions, metadata = item.get("substitutions"), item.get("metadata")
            engaged = item.get("engaged", False)
        to = item["to"]
        try:
            address = parse_address(to)
        except AddressError as error:
            found.reject(index, to, f"No mail address: {error.reason}.")
            continue
        if check is not None:
            try:
                check(substitutions or NOTHING)
            except TemplateError as error:
                found.wrong(
                    index, "substitutions", detail_of(error),
                    index=index, to=to[:320], variable=error.variable, template=error.field,
                )  # fmt: skip
                if len(found.errors) >= MAX_ERRORS:
                    break
                continue
        accept(NewRecipient(address, substitutions, metadata, engaged=engaged))
    return found


def is_simple(item: Any, templated: bool) -> bool:
    """Whether it is the shape that nearly all have, an address with or without substitutions."""
    if type(item) is not dict or type(item.get("to")) is not str:
        return False
    if len(item) == 1:
        return True
    return templated and len(item) == 2 and type(item.get("substitutions")) is dict


def fault(found: Read, index: int, item: Any, templated: bool) -> bool:
    """Note what is wrong with the shape of one recipient; False when it is in order."""
    before = len(found.errors)
    if not isinstance(item, dict):
        found.wrong(index, "", 'Must be an object such as {"to": "ann@shop.example"}.')
        return True
    for name in item.keys() - MEMBERS:
        found.wrong(index, name[:80], f"Unknown member; give only {', '.join(ORDER)}.")
    if not isinstance(item.get("to"), str):
        found.wrong(index, "to", "Must be a mail address, such as ann@shop.example.")
    substitutions = item.get("substitutions")
    if not isinstance(substitutions, dict | None):
        found.wrong(index, "substitutions", "Must be an object: variable to value.")
    elif substitutions and not templated:
        found.wrong(
            index, "substitutions",
            "A raw message takes no substitutions: send subject, text and html instead of raw.",
        )  # fmt: skip
    if not isinstance(item.get("engaged", False), bool):
        found.wrong(index, "engaged", "Must be true or false.")
    if item.get("metadata") is not None and (reason := metadata_fault(item["metadata"])):
        found.wrong(index, "metadata", reason)
    return len(found.errors) > before


def detail_of(error: TemplateError) -> str:
    """What is wrong and what to change."""
    if error.variable:
        return (
            f"Unknown variable {error.variable!r} in {error.field}: add it to the recipient's "
            f"substitutions, or write {{{{ {error.variable}|default('') }}}} in the template."
        )
    return f"The template cannot be rendered for this recipient: {error}"
