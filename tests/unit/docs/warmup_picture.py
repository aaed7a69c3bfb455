"""The picture of a 30-day warmup, drawn from the simulator that decides as the real warmup does.

`python -m tests.unit.docs.warmup_picture` writes it.
"""

from __future__ import annotations

from pathlib import Path

from mta.policy.simulate import Plan, Simulation, simulate
from mta.policy.warmup import parse_stages
from mta.policy.warmup_gate import Move

PATH = Path(__file__).resolve().parents[3] / "docs" / "explanation" / "warmup.svg"
STAGES, DAYS, PER_DAY, BAD_DAYS = "50, 1.36, 24", 30, 60_000, frozenset({14, 21})
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 330, 64, 16, 44, 62
CAPTION = f"{PER_DAY:,} messages a day to one provider over one new source; excess overflows"
STYLE = (
    "text{font:12px sans-serif;fill:#57606a}.cold{fill:#2f7d4f}.over{fill:#c3cad2}"
    ".bad{fill:#c0392b;font-weight:bold}.stage{font-size:10px;text-anchor:middle}"
    ".grid{stroke:#8b949e;stroke-opacity:.25}"
    "@media(prefers-color-scheme:dark){text{fill:#b1bac4}.over{fill:#4b535d}.bad{fill:#ff7b72}}"
)


def played() -> Simulation:
    """24 stages, with two days on which a tenth was blocked."""
    return simulate(
        Plan(
            parse_stages(STAGES), daily={"google": PER_DAY}, overflow=True, days=DAYS,
            bad_days=BAD_DAYS,
        )
    )  # fmt: skip


def draw(found: Simulation) -> str:
    """Bars of what the new source and the overflow sent, with the stage of each day above."""
    step = (WIDTH - LEFT - RIGHT) / len(found.days)
    most = max(day.total("cold") + day.total("overflow") for day in found.days)
    parts = [grid(most)]
    for at, day in enumerate(found.days):
        (one,) = day.providers
        left = LEFT + at * step
        cold, over = height(one.cold, most), height(one.overflow, most)
        floor = HEIGHT - BOTTOM
        parts += [
            rectangle(left, floor - cold, step, cold, "cold"),
            rectangle(left, floor - cold - over, step, over, "over"),
            text(left + step / 2, TOP - 4, "warm"[:1] if one.cap is None else str(one.stage),
                 "stage bad" if one.decision.move is Move.STEP_BACK else "stage"),
        ]  # fmt: skip
        if day.number % 5 == 0 or day.number == 1:
            parts.append(text(left + step / 2, floor + 16, str(day.number), "stage"))
    parts += [
        text(LEFT, TOP - 22, "stage of the day (red: a bad day, one stage back; w: warm)", ""),
        text(LEFT, HEIGHT - 8, CAPTION, ""),
        f'<rect x="{LEFT}" y="{HEIGHT - 36}" width="12" height="12" class="cold"/>',
        text(LEFT + 18, HEIGHT - 26, "the new source", ""),
        f'<rect x="{LEFT + 130}" y="{HEIGHT - 36}" width="12" height="12" class="over"/>',
        text(LEFT + 148, HEIGHT - 26, "the overflow pool", ""),
        text(WIDTH - RIGHT - 24, HEIGHT - 26, "day", ""),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="A warmup of {DAYS} days: {CAPTION}">\n<style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def height(count: int, most: int) -> float:
    return (HEIGHT - TOP - BOTTOM) * count / most


def rectangle(left: float, top: float, step: float, tall: float, kind: str) -> str:
    return (
        f'<rect x="{left + 1:.1f}" y="{top:.1f}" width="{step - 2:.1f}" height="{tall:.1f}" '
        f'class="{kind}"/>'
    )


def text(left: float, top: float, words: str, kind: str) -> str:
    name = f' class="{kind}"' if kind else ""
    return f'<text x="{left:.1f}" y="{top:.1f}"{name}>{words}</text>'


def grid(most: int) -> str:
    lines = []
    for part in range(0, most + 1, 20_000):
        top = HEIGHT - BOTTOM - height(part, most)
        lines.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top:.1f}" y2="{top:.1f}" class="grid"/>'
            f'<text x="{LEFT - 8}" y="{top + 4:.1f}" text-anchor="end">{part:,}</text>'
        )
    return "\n".join(lines)


if __name__ == "__main__":
    PATH.write_text(draw(played()))
