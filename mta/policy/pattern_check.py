"""What is wrong with a regex for the text of replies, by looking at it alone.

Rule 1: the text has neither code nor enhanced status, is in lower case, and is masked: addresses,
        ids and numbers of five or more digits are "#" (mta/policy/classify.py).
Rule 2: a pattern that such a text can never match, or that any text matches, is a fault. These
        were found in the shipped rules of other mail servers.
"""

import re
from collections.abc import Iterator

_CODE_IN_TEXT = re.compile(r"^\^?\(?(?:\?:)?[245](?:\\d\\d|\\d\{2\}|\d\d)(?!\d)")
_ENHANCED_FIRST = re.compile(r"^\^\(?(?:\?:)?\[?[245]+\]?\\?\.\d")
_UPPER = re.compile(r"(?<!\\)[A-Z]")
_MASKED_AWAY = re.compile(r"@|\d{5}|\d{1,3}(?:\\?\.\d{1,3}){3}")
#: A repeat without bound around a repeat without bound: (a+)+ takes exponential time.
_NESTED = re.compile(r"[+*}]\)(?:[+*]|\{\d+,\})")


def faults_of_pattern(pattern: str) -> Iterator[str]:
    """Yield what is wrong, each to be read after "regex '...'"."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        yield f"does not compile: {error}"
        return
    if compiled.search(""):
        yield "matches the empty text, so it matches everything"
    if "\\\\" in pattern:
        yield "has a doubled backslash; write it once, in single quotes"
    if _CODE_IN_TEXT.match(pattern) or _ENHANCED_FIRST.match(pattern):
        yield "expects the code in the text, which begins after code and enhanced status"
    if _UPPER.search(pattern):
        yield "has upper-case letters, but the text is lower-cased"
    if _MASKED_AWAY.search(pattern):
        yield 'expects an address or a long number, which are "#" in the text'
    if _NESTED.search(pattern):
        yield "repeats a repeat, which can take minutes on an odd text; repeat once"
