"""Names of messages and recipients outside the process: 13 lower-case Crockford base32 characters.

Rule 1: every id has one name, of fixed length, so names sort as the ids do.
Rule 2: reading forgives what people do to names (upper case, o for 0, i and l for 1), nothing else.
"""

LENGTH = 13
_LIMIT = 1 << 63
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
#: Ten bits at a time: half the steps of one character at a time.
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
#: Crockford's aliases, then the digits that int(..., 32) knows.
_TO_INT = str.maketrans(
    _ALPHABET + _ALPHABET[10:].upper() + "oOiIlL",
    "0123456789abcdefghijklmnopqrstuv" + "abcdefghijklmnopqrstuv" + "001111",
)
_READABLE = frozenset(_ALPHABET + _ALPHABET[10:].upper() + "oOiIlL")


def encode(number: int) -> str:
    """The name of an id; ValueError outside 0 <= number < 2**63."""
    if not 0 <= number < _LIMIT:
        raise ValueError(f"id out of range, must be 0 <= id < 2**63: {number}")
    pairs = _PAIRS
    return (
        _ALPHABET[number >> 60]
        + pairs[number >> 50 & 1023]
        + pairs[number >> 40 & 1023]
        + pairs[number >> 30 & 1023]
        + pairs[number >> 20 & 1023]
        + pairs[number >> 10 & 1023]
        + pairs[number & 1023]
    )


def decode(name: str) -> int:
    """The id behind a name; ValueError when it is not 13 Crockford characters below 2**63."""
    if len(name) != LENGTH or not _READABLE.issuperset(name):
        raise ValueError(f"not an id, must be {LENGTH} Crockford base32 characters: {name[:40]!r}")
    number = int(name.translate(_TO_INT), 32)
    if number >= _LIMIT:
        raise ValueError(f"not an id, too large for 63 bits: {name!r}")
    return number
