"""What every worker process has: custody of its batches, and the edge at which surprises stop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from celery.exceptions import Ignore
from django.db import close_old_connections

from mta import wiring
from mta.delivery.batch import Batch
from mta.delivery.custody import Custody
from mta.observe import maillog
from mta.storage.transactions import let_go

log = logging.getLogger(__name__)
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


def in_custody(
    *, vouch: bool
) -> Callable[[Callable[[Batch], Batch]], Callable[[dict[str, Any]], dict[str, Any]]]:
    """Make a stage of a function from batch to batch; `vouch`: answer for it until it is settled.

    A batch whose claim is gone ends here: another has it. A batch that meets a bug or an outage
    keeps the replies that were read; the rest of it goes back to the spool.
    """

    def decorate(work: Callable[[Batch], Batch]) -> Callable[[dict[str, Any]], dict[str, Any]]:
        @wraps(work)
        def stage(values: dict[str, Any]) -> dict[str, Any]:
            token = int(values["token"])
            try:
                batch = Batch.from_json(values)
                if not custody().take(batch):
                    raise Ignore
                batch = work(batch)
            except Ignore:
                raise
            except Exception:
                log.exception("batch %s goes back", token)
                custody().failed(token)
                close_old_connections()
                raise Ignore from None
            finally:
                let_go()
            custody().pass_on(token, vouch=vouch)
            return batch.to_json()

        return stage

    return decorate
