"""One deliver worker without Celery: custody, connector and sender, and batches for them."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path as Folder
from typing import Any

from mta.delivery.batch import Batch, Path
from mta.delivery.connect import Connector, Refusal
from mta.delivery.custody import Custody
from mta.delivery.judge import slots
from mta.delivery.send import Sender
from mta.limits.egress import Limits
from mta.limits.memory import Memory
from mta.net.loop import LoopThread
from mta.net.smtp import Connection
from mta.net.tls import client_context
from mta.storage.fields import now_ms
from tests.cast import Cast
from tests.state.spool import desk
from tests.world.client import World


class Worker:
    """The parts of one process; `close` ends them."""

    def __init__(self, folder: Folder, world: World, limits: Limits, memory: Memory) -> None:
        self.world, self.limits = world, limits
        self.loop = LoopThread()
        self.loop.start()
        self.custody = Custody(folder, "deliver", claim_seconds=60)
        self.connector = Connector(
            self.loop, limits, memory, port=world.smtp_port, tls_context=client_context(),
            verified=client_context(str(world.ca_file), verified=True),
        )  # fmt: skip
        self.custody.leases = self.connector.leases
        self.sender = Sender(self.connector, limits, self.custody)

    def batch(self, cast: Cast, domain: str, addresses: list[str], **values: Any) -> Batch:
        """A claimed batch of what is due for the domain, on a path to these addresses."""
        held = desk.take(domain)
        lane = desk.lane(domain)
        batch = Batch(
            token=held.token, lane_id=lane.pk, tenant_id=cast.tenant.pk, stream_id=lane.stream_id,
            domain=domain, recipient_ids=held.recipient_ids, claimed_at=now_ms(),
            window=values.pop("window", 100), path=path(cast, domain, addresses, **values),
        )  # fmt: skip
        self.limits.acquire(slots(batch.token, domain))
        return batch

    def received(self, batch: Batch) -> Batch:
        """The batch as the worker has it once it is taken from the broker."""
        self.custody.receive([batch.to_json()])
        assert self.custody.take([batch]) == [batch]
        return batch

    def got(self, path: Path) -> Connection | Refusal:
        """What the connector gives for the path."""
        return self.loop.run(self.connector.get(path))

    def put(self, path: Path, connection: Connection) -> None:
        """The connection is not needed any more."""

        async def put() -> None:
            self.connector.put(path, connection)

        self.loop.run(put())

    def send(self, batch: Batch) -> Batch:
        """Begin one batch and wait for its end; raises what the run raises."""
        done: list[Batch] = []
        errors: list[BaseException] = []
        over = threading.Event()

        def keep(batch: Batch) -> None:
            done.append(batch)
            over.set()

        def fail(_: Batch, error: BaseException) -> None:
            errors.append(error)
            over.set()

        self.sender.launch([batch], keep, fail)
        over.wait()
        if errors:
            raise errors[0]
        return done[0]

    def sent(self, batch: Batch) -> Batch:
        """Take and send."""
        return self.send(self.received(batch))

    def close(self) -> None:
        self.connector.close()
        self.connector.threads.shutdown()
        self.loop.stop()
        self.custody.journal.close()


def path(cast: Cast, domain: str, addresses: list[str], **values: Any) -> Path:
    plain = Path(
        site=f"mx1.{domain}", provider="", hosts=((f"mx1.{domain}", tuple(addresses)),),
        source_id=cast.source.pk, source_name=cast.source.name, source_address="",
        ehlo_name="mill.example.net", tls="none", connections=3, messages_per_connection=100,
        timeouts=(5.0,) * 9, queue="",
    )  # fmt: skip
    return replace(plain, **values)
