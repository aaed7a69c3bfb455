"""The contract between Mailmill and an operator's own Python: the module of MAILMILL_POLICY.

Rule 1: a module has one or more of the four functions of HOOKS; each takes one value from here and
        gives back None, which changes nothing, or what its line says.
Rule 2: what does not fit is found when a process starts, and it does not start.
Rule 3: a hook that raises, or gives back something else, never loses mail: the door says "later",
        the batch waits, the reply counts as temporary, the event is stored all the same.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from mta.policy.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Injected:
    """A message at a door, before it is stored; texts are as the sender gave them."""

    tenant: str
    stream: str
    #: api, smtp or command.
    origin: str
    #: Envelope sender; "" is the null reverse path.
    reverse_path: str
    recipients: tuple[str, ...]
    subject: str
    campaign: str
    tags: tuple[str, ...]
    metadata: Mapping[str, Any]
    #: Bytes of the content: the message, or the template that is filled in for each recipient.
    size: int


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer of `inject`: the message is refused for good, with this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Changes:
    """Answer of `inject`: what is stored instead; None leaves the value as it is."""

    campaign: str | None = None
    tags: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A batch on its way out, for which no routing rule chose a way."""

    tenant: str
    stream: str
    #: transactional or bulk.
    stream_kind: str
    domain: str
    #: The MX rollup, and the provider behind it ("" when none is known).
    site: str
    provider: str
    #: Recipients in the batch, 1 to 100.
    recipients: int


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply that was no delivery, and what the bounce rules make of it."""

    tenant: str
    stream: str
    domain: str
    site: str
    provider: str
    source: str
    #: connect, starttls, ehlo, mail, rcpt, data, dot, dns or local.
    stage: str
    #: 0 when nothing was answered.
    code: int
    enhanced: str
    text: str
    #: Earlier tries of this recipient.
    attempts: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Told:
    """An event that has just been stored."""

    #: Seconds since the epoch.
    at: float
    kind: str
    #: As the API writes them.
    message: str
    recipient: str
    #: Everything else: tenant, to, stream, campaign, reply, ... (docs/reference/events.md).
    fields: Mapping[str, Any] = field(default_factory=dict)


class InjectHook(Protocol):
    """Called at each door for each message."""

    def __call__(self, message: Injected, /) -> Reject | Changes | None: ...


class ChoosePoolHook(Protocol):
    """Called once a batch; the name of a pool, or None for the stream's own."""

    def __call__(self, batch: Waiting, /) -> str | None: ...


class OnReplyHook(Protocol):
    """Called for each reply that is no delivery; a verdict instead of the rules', or None."""

    def __call__(self, reply: Answered, /) -> Verdict | None: ...


class OnEventHook(Protocol):
    """Called after the transaction that stored the event; what it gives back is not looked at."""

    def __call__(self, event: Told, /) -> None: ...


HOOKS = ("inject", "choose_pool", "on_reply", "on_event")


class HooksRefused(Exception):
    """The module cannot be used; the message names what is wrong and the fix."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the module of MAILMILL_POLICY has; None where it has nothing."""

    module: str = ""
    inject: InjectHook | None = None
    choose_pool: ChoosePoolHook | None = None
    on_reply: OnReplyHook | None = None
    on_event: OnEventHook | None = None


NONE = Hooks()


def load(module: str) -> Hooks:
    """The hooks of a module by its dotted name; NONE for "". Raises HooksRefused."""
    if not module:
        return NONE
    try:
        found = import_module(module)
    except Exception as error:  # whatever a stranger's module does when it is imported
        raise HooksRefused(
            f"{module} cannot be imported ({type(error).__name__}: {error}): "
            "put its folder on PYTHONPATH, or correct the name."
        ) from error
    functions = {name: getattr(found, name) for name in HOOKS if hasattr(found, name)}
    if not functions:
        raise HooksRefused(f"{module} has none of {', '.join(HOOKS)}: define at least one.")
    for name in vars(found):
        if name.startswith(("on_", "choose_", "inject_")) and name not in HOOKS:
            raise HooksRefused(
                f"{module}.{name} is no hook; there are {', '.join(HOOKS)}. "
                "Rename it, with an underscore in front if it is your own."
            )
    for name, function in functions.items():
        _check(f"{module}.{name}", function)
    return Hooks(module, **functions)


def _check(name: str, function: Callable[..., object]) -> None:
    """HooksRefused unless it is a plain function that can be called with one value."""
    if not callable(function):
        raise HooksRefused(f"{name} is no function.")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise HooksRefused(f"{name} must be a plain function, without async and without yield.")
    try:
        inspect.signature(function).bind(object())
    except (TypeError, ValueError):
        raise HooksRefused(
            f"{name}{inspect.signature(function)} must take exactly one positional argument."
        ) from None
