"""What a stage does with batches that the broker may or may not have taken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mta.delivery.batch import Batch
from mta.delivery.custody import Custody
from mta.spool import claim
from mta.storage.fields import now_ms
from tasks import pipeline
from tasks.stages import stage
from tests.cast import Cast
from tests.state.spool import desk


def test_what_may_have_been_published_is_not_given_back(
    cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next stage may be sending it already: given back, it would be sent a second time."""

    def fail(_: str, __: Sequence[Batch]) -> None:
        raise pipeline.NotPublished("the connection broke behind the command")

    desk.injected(cast, "ann@x.test")
    held = desk.take("x.test")
    lane = desk.lane("x.test")
    batch = Batch(
        token=held.token, lane_id=lane.pk, tenant_id=cast.tenant.pk, stream_id=lane.stream_id,
        domain="x.test", recipient_ids=held.recipient_ids, claimed_at=now_ms(),
    )  # fmt: skip
    custody = Custody(tmp_path, "sign", claim_seconds=60)
    custody.receive([batch.to_json()])
    monkeypatch.setattr(stage, "_custody", [custody])
    monkeypatch.setattr(pipeline, "pass_on", fail)
    stage.carry_on("sign", list, custody.take([batch]))
    custody.heartbeat()
    assert claim.held([held.token]) == {held.token}
    assert desk.states() == {"claimed": 1}
    assert custody.journal.open_batches() == {}
    custody.journal.close()
