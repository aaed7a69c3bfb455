"""The short way through a recipient of the usual shape leads where the long way leads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.api import recipients
from mta.mail.template import TemplateError

VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.lists(st.none(), max_size=1),
    st.sampled_from(["ann@shop.example", "no address", "", "a@b.example"]),
    st.dictionaries(st.sampled_from(["name", "bad"]), st.text(max_size=2), max_size=2),
)  # fmt: skip
USUAL = st.fixed_dictionaries(
    {"to": st.just("ann@shop.example")},
    optional={"substitutions": VALUES, "metadata": VALUES, "more": VALUES},
)
ODD = st.dictionaries(st.sampled_from(["to", "substitutions", "metadata", "x"]), VALUES)
ITEMS = st.lists(st.one_of(USUAL, ODD, VALUES), max_size=6)


def check(substitutions: Any) -> None:
    if "bad" in substitutions:
        raise TemplateError("unknown variable 'bad'", field="text", variable="bad")


@pytest.mark.parametrize("trial", [check, None])
@given(items=ITEMS)
def test_both_ways_read_the_same(trial: recipients.Check | None, items: list[Any]) -> None:
    short = recipients.read(items, trial)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipients, "is_simple", lambda item, templated: False)
        long = recipients.read(items, trial)
    assert (short.rejected, short.errors) == (long.rejected, long.errors)
    # {} and None are both no substitutions.
    assert [(to.address, to.substitutions or None) for to in short.accepted] == [
        (to.address, to.substitutions or None) for to in long.accepted
    ]
