"""What every worker process has: custody of its batches, from its start to its stop."""

from __future__ import annotations

from typing import Any

from mta import wiring
from mta.delivery.batch import Batch
from mta.delivery.custody import Custody
from mta.observe import maillog

_custody: list[Custody] = []


def begin(stage: str) -> Custody:
    """Start this process's custody; called once, when the worker is ready to run."""
    config = wiring.config()
    maillog.open_file(config.data_dir / "log" / "mail.log")
    custody = Custody(config.data_dir / "journal", stage, claim_seconds=config.claim_seconds)
    custody.start()
    _custody[:] = [custody]
    return custody


def custody() -> Custody:
    """The custody of this process; RuntimeError in a process that is no worker."""
    if not _custody:
        raise RuntimeError("this process runs no stage: start it with `manage.py worker STAGE`")
    return _custody[0]


def taken(values: dict[str, Any]) -> Batch | None:
    """The batch, journalled and its claim renewed; None when another has it by now."""
    batch = Batch.from_json(values)
    return batch if custody().take(batch) else None
