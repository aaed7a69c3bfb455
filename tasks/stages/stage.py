"""What every worker process has: custody of its batches, and the edge at which surprises stop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django.db import close_old_connections

from mta import wiring
from mta.delivery.batch import Batch
from mta.delivery.custody import Custody
from mta.observe import maillog
from mta.storage.transactions import let_go
from tasks import pipeline

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


Work = Callable[[Sequence[Batch]], list[Batch]]


def in_custody(name: str) -> Callable[[Work], Callable[[list[dict[str, Any]]], None]]:
    """Make the stage `name` of a function from batches to batches, which it passes on.

    A batch whose claim is gone ends here: another has it. A batch that meets a bug or an outage
    keeps the replies that were read; the rest of it goes back to the spool.
    """

    def decorate(work: Work) -> Callable[[list[dict[str, Any]]], None]:
        @wraps(work)
        def stage(convoy: list[dict[str, Any]]) -> None:
            tokens = [int(values["token"]) for values in convoy]
            try:
                carry_on(name, work, custody().take(readable(convoy)))
            except Exception:
                surprised(tokens)
            finally:
                let_go()

        return stage

    return decorate


def carry_on(name: str, work: Work, batches: Sequence[Batch]) -> None:
    """Do the work of a stage and send what comes of it to the next.

    What the broker refused it may have taken all the same, and the next stage may be sending it:
    it is not given back, its claim ends by itself unless somebody keeps it.
    """
    done = apart(work, batches)
    if not done:
        return
    try:
        pipeline.pass_on(name, done)
    except pipeline.NotPublished as error:
        log.warning("%d batches not passed on by %s: %s", len(done), name, error)
    custody().pass_on([batch.token for batch in done], vouch=False)


def readable(convoy: list[dict[str, Any]]) -> list[Batch]:
    """The batches of a convoy; one of another release goes back to the spool."""
    batches = []
    for values in convoy:
        try:
            batches.append(Batch.from_json(values))
        except (ValueError, TypeError, KeyError):
            surprised([int(values["token"])])
    return batches


def apart(work: Work, batches: Sequence[Batch]) -> list[Batch]:
    """All of them together, or each by itself when one meets an error: the others do not suffer."""
    if not batches:
        return []
    try:
        return work(batches)
    except Exception:
        if len(batches) == 1:
            surprised([batches[0].token])
            return []
        return [done for batch in batches for done in apart(work, [batch])]


def surprised(tokens: Sequence[int]) -> None:
    """Log the error being handled; the next heartbeat settles what is known of the batches."""
    log.exception("batches %s go back", list(tokens))
    for token in tokens:
        custody().failed(token)
    close_old_connections()
