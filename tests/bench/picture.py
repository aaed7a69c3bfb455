"""A picture of figures as bars, in SVG; readable on light and on dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 720, 250, 130
BAR, GAP, TOP, BOTTOM = 26, 14, 16, 34


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    value: float
    note: str = ""
    #: The peer's bars are grey.
    ours: bool = True


def draw(bars: Sequence[Bar], caption: str, unit: str) -> str:
    """The picture; the longest bar fills the width. ValueError without bars."""
    if not bars:
        raise ValueError("a picture needs a bar")
    height = TOP + len(bars) * (BAR + GAP) + BOTTOM
    most = max(bar.value for bar in bars) or 1
    rows = [row(bar, TOP + at * (BAR + GAP), most, unit) for at, bar in enumerate(bars)]
    rows.append(f'<text x="{LEFT}" y="{height - 12}" class="note">{escape(caption)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'role="img" aria-label="{escape(caption)}">\n'
        "<style>text{font:14px sans-serif;fill:#57606a}.value{font-weight:bold}"
        ".note{font-size:12px}.ours{fill:#2f7d4f}.peer{fill:#8b949e}"
        "@media(prefers-color-scheme:dark){text{fill:#b1bac4}}</style>\n"
        + "\n".join(rows)
        + "\n</svg>\n"
    )


def row(bar: Bar, top: int, most: float, unit: str) -> str:
    width = round((WIDTH - LEFT - RIGHT) * bar.value / most)
    middle = top + BAR - 8
    said = f"{bar.value:,.0f}{unit} {bar.note}".strip()
    return (
        f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect x="{LEFT}" y="{top}" width="{max(width, 1)}" height="{BAR}" rx="3" '
        f'class="{"ours" if bar.ours else "peer"}"/>'
        f'<text x="{LEFT + width + 8}" y="{middle}" class="value">{escape(said)}</text>'
    )
