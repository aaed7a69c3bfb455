"""Pictures of simulated runs: what a receiver permits and what it takes, over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tests.simulation.figures import WAYS, simulated
from tests.simulation.receiver import Receiver

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "explanation"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 300, 56, 30, 34, 58
STEP = 10.0


def limit_picture() -> str:
    """An hour against a hidden limit that rises once."""
    receiver = Receiver(600, "sliding", changes=[(2400.0, 900)])
    simulated(receiver, WAYS[1], seconds=4800)
    caption = "A receiver takes 600 messages in any minute and says nothing of it; then 900."
    return draw(receiver, 4800, 1300, caption)


def block_picture() -> str:
    """A receiver that refuses everything for half an hour."""
    receiver = Receiver(600, "sliding", blocks=[(900.0, 2700.0)])
    simulated(receiver, WAYS[1], seconds=3900)
    caption = "It refuses everything from minute 15 to 45; one message tries now and then."
    return draw(receiver, 3900, 900, caption)


PICTURES = {"throttle-limit.svg": limit_picture, "throttle-block.svg": block_picture}


def draw(receiver: Receiver, seconds: float, most: float, caption: str) -> str:
    """`most` messages a minute is the height of the picture; what is above it is cut."""
    parts = [
        axes(seconds, most),
        permitted(receiver, seconds, most),
        taken(receiver, seconds, most),
    ]
    parts += refused(receiver, seconds)
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 10}" class="note">{escape(caption)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{escape(caption)}">\n'
        "<style>text{font:12px sans-serif;fill:#57606a}.axis{stroke:#8b949e;stroke-width:1}"
        ".limit{stroke:#8b949e;stroke-width:2;stroke-dasharray:6 4;fill:none}"
        ".taken{stroke:#2f7d4f;stroke-width:2;fill:none}.refused{stroke:#c2410c;stroke-width:2}"
        ".key{font-weight:bold}.limit-key{fill:#8b949e}.taken-key{fill:#2f7d4f}"
        ".refused-key{fill:#c2410c}"
        "@media(prefers-color-scheme:dark){text{fill:#b1bac4}.taken{stroke:#4ade80}"
        ".taken-key{fill:#4ade80}.refused{stroke:#fb923c}.refused-key{fill:#fb923c}}</style>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def across(at: float, seconds: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * at / seconds, 1)


def up(rate: float, most: float) -> float:
    height = HEIGHT - TOP - BOTTOM
    return round(TOP + height * (1 - min(rate / most, 1)), 1)


def axes(seconds: float, most: float) -> str:
    """Lines, minutes below, messages a minute on the left, and what the colours mean."""
    bottom = HEIGHT - BOTTOM
    lines = [
        f'<line x1="{LEFT}" y1="{TOP}" x2="{LEFT}" y2="{bottom}" class="axis"/>',
        f'<line x1="{LEFT}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}" class="axis"/>',
        f'<text x="{LEFT}" y="16" class="key limit-key">permitted a minute</text>',
        f'<text x="{LEFT + 150}" y="16" class="key taken-key">taken a minute</text>',
        f'<text x="{LEFT + 270}" y="16" class="key refused-key">refused</text>',
    ]
    for rate in range(0, int(most) + 1, 300):
        lines.append(
            f'<text x="{LEFT - 8}" y="{up(rate, most) + 4}" text-anchor="end">{rate}</text>'
        )
    for minute in range(0, int(seconds // 60) + 1, 10):
        x = across(minute * 60, seconds)
        lines.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{minute} min</text>')
    return "\n".join(lines)


def permitted(receiver: Receiver, seconds: float, most: float) -> str:
    points = []
    at = 0.0
    while at <= seconds:
        blocked = any(begin <= at < end for begin, end in receiver.blocks)
        rate = 0 if blocked else receiver.permitted(at)
        points.append((across(at, seconds), up(rate, most)))
        at += STEP
    return line(points, "limit")


def taken(receiver: Receiver, seconds: float, most: float) -> str:
    """Of each STEP, as messages a minute."""
    counts = [0] * int(seconds / STEP)
    for at in receiver.taken:
        if at < seconds:
            counts[int(at / STEP)] += 1
    points = [
        (across((number + 0.5) * STEP, seconds), up(count * 60 / STEP, most))
        for number, count in enumerate(counts)
    ]
    return line(points, "taken")


def refused(receiver: Receiver, seconds: float) -> list[str]:
    """A stroke below the axis for every second in which something was refused."""
    bottom = HEIGHT - BOTTOM
    places = sorted({across(int(at), seconds) for at in receiver.refused if at < seconds})
    return [
        f'<line x1="{x}" y1="{bottom + 24}" x2="{x}" y2="{bottom + 34}" class="refused"/>'
        for x in places
    ]


def line(points: Sequence[tuple[float, float]], kind: str) -> str:
    """A line; points that lie on the way between their neighbours are left out."""
    kept: list[tuple[float, float]] = []
    for at, point in enumerate(points):
        flat = 0 < at < len(points) - 1 and points[at - 1][1] == point[1] == points[at + 1][1]
        if not flat:
            kept.append(point)
    return f'<polyline class="{kind}" points="{" ".join(f"{x},{y}" for x, y in kept)}"/>'


def write() -> None:
    for name, made in PICTURES.items():
        (FOLDER / name).write_text(made())
