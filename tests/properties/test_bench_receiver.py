"""Invariants of the benchmarks' own receiver."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.receiver import answer

LABEL = st.text("abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789-", min_size=1, max_size=20)
KIND = st.sampled_from(["A", "AAAA", "MX", "TXT", "NS", "SOA", "CNAME"])


@given(st.lists(LABEL, min_size=1, max_size=6), KIND)
def test_every_question_has_a_whole_answer_to_itself(labels: list[str], kind: str) -> None:
    query = dns.message.make_query(".".join(labels), kind)
    response = dns.message.from_wire(answer(query.to_wire()))
    assert query.is_response(response)
    assert response.rcode() == dns.rcode.NOERROR
    assert not response.flags & dns.flags.TC
    assert bool(response.answer) != bool(response.authority)
    assert all(rrset.name == query.question[0].name for rrset in response.answer)
