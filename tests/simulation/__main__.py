"""`python -m tests.simulation`: the figures of adaptive throttling; `pictures` draws them."""

from __future__ import annotations

import sys

from tests.simulation import figures, picture


def main() -> None:
    if sys.argv[1:] == ["pictures"]:
        picture.write()
        return
    print("| limit a minute | window | connections | s a message | refusal | used | deferred |")
    print("|---|---|---|---|---|---|---|")
    for one in figures.figures():
        closes = "421" if one.closes else "450"
        print(
            f"| {one.limit:,} | {one.kind} | {one.connections} | {one.latency} | {closes} | "
            f"{one.used:.1%} | {one.deferred:.2%} |",
            flush=True,
        )
    for limit in (60, 600):
        for minutes in (10, 30, 60):
            back, refused = figures.back_after(limit, 900.0, minutes * 60)
            print(f"block of {minutes} min at {limit}/min: back {back:.0f} s, refused {refused}")
    for limit, raised in ((100, 200), (600, 900), (600, 6000)):
        print(f"limit {limit} -> {raised}/min: found {figures.found_after(limit, raised):.0f} s")


if __name__ == "__main__":
    main()
