"""Four processes at one limit: never too fast, and hardly slower than allowed."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

from tests.services.processes import ChildProcess

RATE, BURST, SECONDS = 400, 40, 2.0

WORKER = """
import sys, time, redis
from mta.limits.egress import Bucket, Limits, Slot
client = redis.Redis.from_url(sys.argv[1])
limits, prefix, name = Limits(client, sys.argv[2]), sys.argv[2], sys.argv[3]
rate, burst, seconds = int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])
bucket, taken, most = Bucket("rate", rate, burst), [], 0
def clock():
    seconds, micros = client.time()
    return seconds + micros / 1e6
client.incr(prefix + "ready")
while int(client.get(prefix + "ready")) < 4:
    time.sleep(0.001)
end = clock() + seconds
while (before := clock()) < end:
    grant = limits.take(25, buckets=[bucket])
    if grant.granted:
        taken.append((before, clock(), grant.granted))
    slot = Slot("conn", 2, name, 30)
    if limits.acquire([slot]) == "":
        most = max(most, limits.held("conn"))
        limits.release([slot])
    if grant.retry_in:
        time.sleep(min(grant.retry_in, 0.05))
for before, after, granted in taken:
    print("GRANT", repr(before), repr(after), granted)
print("MOST", most)
"""


def test_four_processes_share_a_rate(redis_url: str, prefix: str, tmp_path: Path) -> None:
    children = [
        ChildProcess(
            [
                *(sys.executable, "-c", WORKER, redis_url, prefix, f"w{number}"),
                *(str(RATE), str(BURST), str(SECONDS)),
            ],
            output=tmp_path / f"worker-{number}",
            cwd=Path(__file__).parents[3],
        )
        for number in range(4)
    ]
    assert [child.wait(60) for child in children] == [0, 0, 0, 0], [str(c) for c in children]
    lines = [line.split() for child in children for line in child.log().splitlines()]
    grants = sorted(
        (float(before), float(after), int(count))
        for kind, *rest in lines
        if kind == "GRANT"
        for before, after, count in [rest]
    )
    assert len({line[0] for line in lines}) == 2
    assert max(int(line[1]) for line in lines if line[0] == "MOST") <= 2
    # Each grant happened between `before` and `after`: a window that surely holds the grants
    # i..j lasts at most from the first `before` to the latest `after`.
    for first in range(len(grants)):
        total, latest = 0, 0.0
        for before, after, count in grants[first:]:
            total, latest = total + count, max(latest, after)
            assert total <= BURST + RATE * (latest - grants[first][0]) + 1, (before, total)
    used = sum(count for _, _, count in grants)
    lasted = max(after for _, after, _ in grants) - grants[0][0]
    assert used >= 0.95 * (BURST + RATE * lasted), (used, lasted)
    assert all(a[0] <= b[0] for a, b in pairwise(grants))
