"""A batch crosses the broker as JSON and comes out as it went in."""

from __future__ import annotations

import orjson
import pytest

from mta.delivery.batch import Batch, Outcome, Path, outcome_of, outcome_row

PATH = Path(
    site="mx.x.test", provider="", hosts=(("mx1.x.test", ("192.0.2.1", "2001:db8::1")),),
    source_id=1, source_name="s", source_address="", ehlo_name="mill.test", tls="opportunistic",
    connections=2, messages_per_connection=10, timeouts=(1.0, 2.0), queue="deliver.tail-00",
    buckets=(("rate:s:mx.x.test", 0.5, 3),), counters=(("quota:1", 10, 60, 0),),
    slots=(("connections:s:mx.x.test", 2),), opens=(("opens:s:mx.x.test", 1.0, 60),), rate=0.5,
)  # fmt: skip
BATCH = Batch(
    token=2**62, lane_id=1, tenant_id=2, stream_id=3, domain="x.test", recipient_ids=(5, 6),
    claimed_at=1000, path=PATH, signatures=("DKIM-Signature: x\r\n", ""),
    outcomes=(Outcome(5, "", "dot", "ok", 250, "2.0.0", at=7),),
)  # fmt: skip


def test_there_and_back_through_json() -> None:
    assert Batch.from_json(orjson.loads(orjson.dumps(BATCH.to_json()))) == BATCH
    bare = Batch(1, 1, 1, 1, "x.test", (1,), 0)
    assert Batch.from_json(orjson.loads(orjson.dumps(bare.to_json()))) == bare


def test_another_version_is_refused_with_the_fix() -> None:
    with pytest.raises(ValueError, match="restart the workers of one release together"):
        Batch.from_json({**BATCH.to_json(), "version": 99})


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(TypeError):
        Batch.from_json({**BATCH.to_json(), "colour": "red"})


def test_outcomes_as_rows() -> None:
    (outcome,) = BATCH.outcomes
    assert outcome_of(outcome_row(outcome)) == outcome
    assert BATCH.decided() == {5}
    assert BATCH.with_outcomes(Outcome(6, "", "dot", "ok")).decided() == {5, 6}
