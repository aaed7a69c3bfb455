"""The peer's runs before and after ours count as one."""

from __future__ import annotations

import pytest

from tests.bench.measure import Measured
from tests.bench.throughput import mean


def run(rate: float, cpu: float, lost: int = 0) -> Measured:
    return Measured(rate, {"postfix": cpu, "sink": 0.2}, int(100 * cpu), lost, 0, 2300, 0.1)


def test_none_is_none() -> None:
    assert mean([]) is None


def test_the_rate_is_that_of_all_messages_in_all_the_time() -> None:
    both = mean([run(200, 2.0), run(600, 3.0, lost=1)])
    assert both is not None
    assert both.msgs_per_s == pytest.approx(300)
    assert both.cpu_ms_per_msg == {"postfix": 2.5, "sink": 0.2}
    assert (both.peak_rss_mb, both.lost, both.doubled) == (300, 1, 0)
