"""What `make bench` may be told."""

from __future__ import annotations

import pytest

from tests.bench.options import BACKENDS, BENCHES, VARIABLES, read


def test_without_a_word_everything_is_measured_at_the_sizes_of_the_goals() -> None:
    chosen = read({})
    assert (chosen.benches, chosen.backends) == (BENCHES, BACKENDS)
    assert (chosen.waiting, chosen.connections, chosen.domains) == (1_000_000, 2000, 100_000)
    assert chosen.whole


def test_one_bench_can_be_run_alone_and_small() -> None:
    chosen = read({"BENCH": "campaign", "BACKEND": "sqlite", "N": "300"})
    assert (chosen.benches, chosen.backends) == (("campaign",), ("sqlite",))
    assert (chosen.count, chosen.peer_count) == (300, 300)
    assert chosen.command == "make bench BENCH=campaign BACKEND=sqlite N=300"
    assert not chosen.whole


def test_n_is_what_waits_where_only_fairness_is_measured() -> None:
    assert read({}).others == read({"N": "300"}).others == 100_000
    assert read({"BENCH": "fairness", "N": "300"}).others == 300
    assert read({"BENCH": "fairness", "N": "300", "OTHERS": "70"}).others == 70


def test_a_smaller_size_is_not_the_whole_thing() -> None:
    assert not read({"WAITING": "1000"}).whole
    assert read({"QUIET": "30", "PEER_N": "1000"}).whole


@pytest.mark.parametrize(
    ("name", "value"),
    [("BENCH", "speed"), ("BACKEND", "mysql"), ("N", "0"), ("N", "many"), ("RSA", "all")],
)
def test_a_variable_that_does_not_fit_is_named(name: str, value: str) -> None:
    with pytest.raises(SystemExit, match=name):
        read({name: value})


def test_an_empty_variable_is_the_default() -> None:
    assert read({one.name: "" for one in VARIABLES}) == read({})
