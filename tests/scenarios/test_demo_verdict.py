"""The demo's own judgement: what counts as expected, and what the table says when it is not."""

from __future__ import annotations

import pytest

from tests.demo import report
from tests.demo.outcome import Fate, fault, judge
from tests.world.cast import ROLES
from tests.world.ledger import Acceptance

ACCEPTS = next(role for role in ROLES if role.domain.startswith("accepts"))
NOBODY = next(role for role in ROLES if role.domain.startswith("nobody"))


def delivered(address: str = "user1@accepts.demo.test", state: str = "delivered") -> Fate:
    return Fate(address, state, "", "250 2.0.0 Ok", 1)


def bounced(bounce_class: str = "bad_mailbox", reply: str = "550 5.1.1 User unknown") -> Fate:
    return Fate("user2@nobody.demo.test", "bounced", bounce_class, reply, 1)


def test_as_expected() -> None:
    assert fault(ACCEPTS, delivered(), 1) == ""
    assert fault(NOBODY, bounced(), 0) == ""


@pytest.mark.parametrize(
    ("fate", "accepted", "words"),
    [
        (delivered(state="deferred"), 0, "is deferred, not delivered"),
        (delivered(), 0, "accepted 0 times"),
        (delivered(), 2, "accepted 2 times"),
    ],
)
def test_losses_and_duplicates_of_a_delivery(fate: Fate, accepted: int, words: str) -> None:
    assert words in fault(ACCEPTS, fate, accepted)


@pytest.mark.parametrize(
    ("fate", "accepted", "words"),
    [
        (bounced(), 1, "although the receiver took it"),
        (bounced(bounce_class="policy"), 0, "as policy, not bad_mailbox"),
        (bounced(reply="550 5.7.1 No"), 0, "with '550 5.7.1 No', not '550 5.1.1'"),
    ],
)
def test_a_bounce_for_the_wrong_reason(fate: Fate, accepted: int, words: str) -> None:
    assert words in fault(NOBODY, fate, accepted)


def test_the_table_has_a_line_per_role_and_names_what_is_wrong() -> None:
    planned = [(ACCEPTS, f"user{n}@accepts.demo.test") for n in range(6)]
    planned.append((NOBODY, "user2@nobody.demo.test"))
    fates = [delivered(address) for role, address in planned[:1] if role is ACCEPTS] + [bounced()]
    lines = judge(planned, fates, {"user0@accepts.demo.test": 1})
    assert [(one.role, one.expected, len(one.faults)) for one in lines] == [
        (ACCEPTS, 6, 5),
        (NOBODY, 1, 0),
    ]
    table = report.outcomes(lines)
    accepts, nobody = table.splitlines()[2:4]
    assert accepts.startswith("accepts.demo.test")
    assert "5 missing, 1 delivered" in accepts
    assert accepts.endswith("NO")
    assert nobody.endswith("ok")
    assert "user1@accepts.demo.test is not in the spool" in table
    assert "... and 2 more of accepts.demo.test" in table


def test_sources_and_the_cap_of_the_warming_one() -> None:
    def accepted(number: int, domain: str, source: str) -> Acceptance:
        return Acceptance(
            number, domain, f"u{number}@{domain}", "", source, "127.77.1.1",
            1, 0.0, False, 1, "", "",
        )  # fmt: skip

    taken = [accepted(n, "accepts.demo.test", "127.0.1.4") for n in range(3)]
    taken += [
        accepted(9, "full.demo.test", "127.0.1.4"),
        accepted(10, "full.demo.test", "127.0.0.1"),
    ]
    table = report.sources(taken).splitlines()
    warming = next(row for row in table if "marketing-warming" in row)
    assert warming.split()[2:5] == ["127.0.1.4", "4", "3"]
    assert any("127.0.0.1" in row and "from no source of a pool" in row for row in table)
