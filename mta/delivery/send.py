"""Deliver: batches are begun from any thread, and each is one run in the loop until it ends.

Rule 1: a batch that was begun ends once: `on_done` gets it with its outcomes, or the custody hears
        that it failed.
Rule 2: the rows are read in the thread that begins; the loop never waits for the database.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

from mta.delivery.batch import Batch, Path
from mta.delivery.connect import Connector
from mta.delivery.custody import Custody
from mta.delivery.run import Means, Run
from mta.delivery.smart_hosts import logins
from mta.delivery.throttle import Watch
from mta.limits.egress import Limits
from mta.spool.load import Outgoing, load_many
from mta.storage.transactions import let_go

log = logging.getLogger(__name__)
OnDone = Callable[[Batch], None]
OnError = Callable[[Batch, BaseException], None]
#: A batch, its path, and its recipients without an outcome.
Begun = tuple[Batch, Path, dict[int, Outgoing]]


class Sender:
    """Sends batches; one a process, used from many threads."""

    def __init__(self, connector: Connector, limits: Limits, custody: Custody) -> None:
        self.connector, self.limits, self.custody = connector, limits, custody
        self.means = Means(connector, limits, custody, Watch(), asyncio.Event())
        #: Touched in the loop only; keeps the runs alive.
        self.tasks: set[asyncio.Task[None]] = set()
        self.changed = threading.Condition()
        self.running = 0

    def begin(self, batches: Sequence[Batch], on_done: OnDone) -> None:
        """Start one run per batch and return; the rows are loaded first, in this thread.

        `on_done` gets each batch that ended well, with an outcome for each recipient it still held;
        it is called once a batch, from any thread, and must neither block nor raise. A run that
        meets a bug or an outage is logged and told to the custody instead. Raises what loading
        raises, RuntimeError when the loop does not run: then no batch was begun.
        """
        self.launch(batches, on_done, self.failed)

    def launch(self, batches: Sequence[Batch], on_done: OnDone, on_error: OnError) -> None:
        ready = with_rows(batches)
        self.connector.logins.update(logins(path for _, path, _ in ready))
        let_go()
        with self.changed:
            self.running += len(ready)
        try:
            self.connector.loop.call(self.start, ready, on_done, on_error)
        except BaseException:
            self.ended(len(ready))
            raise
        for batch in batches:
            if batch.path is None:
                on_done(batch)

    def start(self, ready: Sequence[Begun], on_done: OnDone, on_error: OnError) -> None:
        """Called in the loop."""
        for batch, path, waiting in ready:
            run = Run(self.means, batch, path, waiting)
            task = asyncio.ensure_future(self.run(run, on_done, on_error))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def run(self, run: Run, on_done: OnDone, on_error: OnError) -> None:
        """The edge of one run."""
        try:
            done = await run.go()
        except Exception as error:
            on_error(run.batch, error)
        except asyncio.CancelledError as cancelled:  # the loop ends
            on_error(run.batch, cancelled)
            raise
        else:
            on_done(done)
        finally:
            self.ended(1)

    def failed(self, batch: Batch, error: BaseException) -> None:
        """What is known of the batch is settled by the custody, the rest goes back."""
        log.error("batch %s goes back", batch.token, exc_info=error)
        self.custody.failed(batch.token)

    def ended(self, count: int) -> None:
        with self.changed:
            self.running -= count
            self.changed.notify_all()

    def under_way(self) -> int:
        """Runs that have not ended."""
        return self.running

    def wait(self, timeout: float) -> bool:
        """Whether every run has ended, after at most `timeout` seconds."""
        with self.changed:
            return self.changed.wait_for(lambda: self.running == 0, timeout)

    def stop(self) -> None:
        """Send nothing more; what is on the wire may finish until `Connector.close`."""
        if self.connector.loop.running:
            self.connector.loop.call(self.wind_down)

    def wind_down(self) -> None:
        self.means.stopping.set()
        self.connector.lessor.stop()


def with_rows(batches: Sequence[Batch]) -> list[Begun]:
    """Each batch that has a path, with what it still holds and has no outcome for."""
    rows = load_many([batch.token for batch in batches if batch.path is not None])
    begun: list[Begun] = []
    for batch in batches:
        if batch.path is not None:
            decided = batch.decided()
            held = rows.get(batch.token, ())
            waiting = {one.recipient_id: one for one in held if one.recipient_id not in decided}
            begun.append((batch, batch.path, waiting))
    return begun
