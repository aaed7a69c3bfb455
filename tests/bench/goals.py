"""The goals, and whether a line of a bench meets them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure of one bench and its bound."""

    bench: str
    what: str
    #: Where the figure is in the line: "idle.accepted_to_sink.p50_ms".
    figure: str
    bound: float
    unit: str
    #: The figure shall be the bound or more; else the bound or less.
    least: bool = False
    digits: int = 0
    #: The condition that the goal speaks of, and its size; smaller ones prove nothing.
    size: tuple[str, int] = ("", 0)

    def told(self) -> str:
        sign = ">=" if self.least else "<="
        return f"{sign} {number(self.bound, self.digits)} {self.unit}".strip()


LARGE = ("waiting", 1_000_000)
HELD = ("connections", 2000)
LONG = ("messages", 20_000)
CROWD = ("waiting", 100_000)
GOALS = (
    Goal("campaign", "messages/s, by the peer's", "ratio", 10, "x", least=True, digits=2),
    Goal("relay", "messages/s, by the peer's", "ratio", 5, "x", least=True, digits=2),
    Goal("latency", "idle, accepted to sink, p50", "idle.accepted_to_sink.p50_ms", 30, "ms"),
    Goal("latency", "idle, accepted to sink, p99", "idle.accepted_to_sink.p99_ms", 150, "ms"),
    Goal(
        "latency", "beside another tenant's campaign, p99", "busy.accepted_to_sink.p99_ms",
        1000, "ms", size=("campaign_messages", 100_000),
    ),
    Goal(
        "backlog", "CPU of a message, 1,000,000 due by 1,000", "due.cpu_ratio", 1.2, "x",
        digits=2, size=LARGE,
    ),
    Goal(
        "backlog", "CPU of a message, beside 1,000,000 not due", "later.cpu_ratio", 1.2, "x",
        digits=2, size=LARGE,
    ),
    Goal("backlog", "memory of all processes", "peak_rss_mb", 1500, "MB", size=LARGE),
    Goal(
        "slow", "connections open in one worker", "parts.many_sites.connections_at_worker",
        2000, "", least=True, size=HELD,
    ),
    Goal(
        "slow", "cores of that worker meanwhile", "parts.many_sites.deliver_cores",
        0.2, "", digits=2, size=HELD,
    ),
    Goal(
        "slow", "memory of an open connection", "parts.many_sites.deliver_kb_per_connection",
        60, "KB", size=HELD,
    ),
    Goal(
        "tail", "CPU of a message, as many connections", "cpu_ratio_same_connections", 2, "x",
        digits=2, size=("domains", 100_000),
    ),
    Goal(
        "limits", "messages/s with all limits, by those with none", "rate_ratio", 0.9, "x",
        least=True, digits=2, size=LONG,
    ),
    Goal(
        "limits", "CPU of a message with all limits, by one with none", "cpu_ratio", 1.1, "x",
        digits=2, size=LONG,
    ),
    Goal(
        "fairness", "a single message beside 100,000 of another tenant, p99",
        "unlimited.accepted_to_sink.p99_ms", 1000, "ms", size=CROWD,
    ),
    Goal(
        "fairness", "messages of others before a single one, behind a limit, most",
        "limited.most_others", 2, "", size=CROWD,
    ),
)  # fmt: skip


def figure(line: dict[str, Any], path: str) -> Any:
    """The value at a dotted path; None where there is none."""
    value: Any = line
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


@dataclass(frozen=True, slots=True)
class Judged:
    """A goal beside what was measured."""

    goal: Goal
    measured: str
    #: "yes", "no", "not measured", or the smaller size at which it was measured.
    met: str


def judge(goal: Goal, line: dict[str, Any]) -> Judged:
    """Whether a line meets a goal of its bench."""
    found = figure(line, goal.figure)
    if found is None:
        return Judged(goal, "-", "not measured")
    shown = f"{number(found, goal.digits)} {goal.unit}".strip()
    name, size = goal.size
    had = figure(line, f"conditions.{name}") if name else None
    if had is not None and had < size:
        return Judged(goal, shown, f"only {had:,} {name.replace('_', ' ')}")
    good = found >= goal.bound if goal.least else found <= goal.bound
    return Judged(goal, shown, "yes" if good else "no")


def judged(line: dict[str, Any]) -> list[Judged]:
    """All goals of the line's bench."""
    return [judge(goal, line) for goal in GOALS if goal.bench == line["bench"]]
