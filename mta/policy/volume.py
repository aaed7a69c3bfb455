"""Expected volume as people write it: one number, and the providers' shares of it."""

import math
from collections.abc import Mapping

#: What is assumed where nobody says: much consumer mail looks like this.
USUAL = "google=60, outlook=25, yahoo=15"
HOW = f"write NAME=SHARE, ... such as {USUAL}"


class VolumeError(ValueError):
    """Shares that are none; the message says what to write."""


def parse_shares(text: str) -> dict[str, float]:
    """Provider -> share of the whole, which is 1; the numbers given need not add up to 100."""
    given: dict[str, float] = {}
    for part in (one.strip() for one in text.replace(";", ",").split(",")):
        if not part:
            continue
        name, _, number = (word.strip() for word in part.partition("="))
        try:
            share = float(number.rstrip("%") or "nan")
        except ValueError:
            share = math.nan
        if not name or not math.isfinite(share) or share <= 0:
            raise VolumeError(f"{part!r} is no share; {HOW}")
        if name in given:
            raise VolumeError(f"{name} is given twice")
        given[name] = share
    if not given:
        raise VolumeError(f"there are no shares; {HOW}")
    total = math.fsum(given.values())
    return {name: share / total for name, share in given.items()}


def split(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole messages of each provider that add up to `total`; the largest share takes the rest."""
    parts = {name: math.floor(total * share) for name, share in shares.items()}
    largest = max(shares, key=lambda name: (shares[name], name))
    parts[largest] += total - sum(parts.values())
    return parts
