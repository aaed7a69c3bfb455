"""Whatever a person types compiles or is refused, and then is true, false, or trouble."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mta.policy.condition import DEEPEST, compile_condition
from mta.policy.routing import NAMES, RuleFault, RuleTrouble, Value

WORDS = st.sampled_from([
    *NAMES, "and", "or", "not", "in", "true", "false", "null", "==", "!=", "<", "<=", ">", ">=",
    "+", "-", "*", "/", "(", ")", "[", "]", ",", ".", '"news"', '""', "0", "1", "0.05", "20",
    "1e999999", "inf", "nan", "starts_with", "ends_with", "__class__", "$now", "for", "x",
])  # fmt: skip
LISTED: dict[str, Value] = {"text": "news", "number": 2.0, "list of texts": ("news",)}
FACTS: dict[str, Value] = {name: LISTED[kind] for name, kind in NAMES.items()}


def asked(text: str) -> bool | None:
    """What the condition says; None when it is refused or in trouble."""
    try:
        return compile_condition(text).holds(FACTS)
    except (RuleFault, RuleTrouble):
        return None


@given(st.lists(WORDS, max_size=14).map(" ".join))
def test_words_of_the_language_in_any_order(text: str) -> None:
    asked(text)


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    asked(text)


COMPARISON = st.builds(
    "{} {} {}".format,
    st.sampled_from([name for name, kind in NAMES.items() if kind == "number"]),
    st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]),
    st.floats(0, 1e6).map("{:.3f}".format),
)


@given(st.lists(COMPARISON, min_size=1, max_size=DEEPEST // 4), st.sampled_from(["and", "or"]))
def test_what_is_well_formed_says_what_python_says(parts: list[str], word: str) -> None:
    text = f" {word} ".join(parts)
    expected = eval(text, {}, dict(FACTS))
    if len(text) <= 1000:
        assert asked(text) is expected
