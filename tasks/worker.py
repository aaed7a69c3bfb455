"""What a worker process does at its start and end; `manage.py worker` names the stage."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from celery.signals import (
    celeryd_after_setup,
    task_received,
    worker_shutdown,
    worker_shutting_down,
)
from celery.worker.request import Request
from django.db import close_old_connections

from mta import wiring
from mta.delivery import network
from mta.mail import dkim
from tasks import queues, upkeep
from tasks.app import app
from tasks.stages import stage
from tasks.stages.deliver import FINISHED
from tasks.stages.resolve import ANSWERED

__all__ = ["app"]
log = logging.getLogger(__name__)
STAGE = os.environ.get("STAGE_OF_WORKER", "")
#: Seconds that replies on the wire get after SIGTERM, then what the next stage gets to settle.
WIRE_SECONDS, SETTLE_SECONDS = 2.5, 1.5


@celeryd_after_setup.connect(weak=False)
def set_up(sender: Any, **_: Any) -> None:
    """Recover what dead workers left, then be ready for batches."""
    try:
        custody = stage.begin(STAGE)
        if STAGE == "resolve":
            ANSWERED.start()
        if STAGE == "sign":
            dkim.use(wiring.config().rsa)
            log.info("RSA signatures: %s", dkim.engine())
        if STAGE == "deliver":
            network.open_sender(custody)
            FINISHED.start()
            custody.chore = Subscriptions(str(sender)).renew
    except Exception:
        # Celery swallows what a handler raises; a worker without custody must not look ready.
        log.exception("the worker cannot start")
        raise SystemExit(1) from None


class Subscriptions:
    """Queues of single sites that this worker consumes besides the shared ones.

    Resolve announces a new queue at once; this catches what an announcement missed (the worker was
    away, or Redis lost its keys), and leaves queues that were given up.
    """

    def __init__(self, hostname: str) -> None:
        self.hostname = hostname
        self.consumed = set(queues.site_queues())

    def renew(self) -> None:
        """Consume what exists, cancel what is gone."""
        wanted = set(queues.site_queues())
        for name in wanted:
            app.control.broadcast(
                "add_consumer", destination=[self.hostname],
                arguments={"queue": name, "exchange": "mailmill", "routing_key": name},
            )  # fmt: skip
        for name in self.consumed - wanted:
            app.control.broadcast(
                "cancel_consumer", destination=[self.hostname], arguments={"queue": name}
            )
        self.consumed = wanted


@task_received.connect(weak=False)
def receive(request: Request, **_: Any) -> None:
    """Batches are journalled when they leave the broker, not when a thread gets to them."""
    if request.name == STAGE and STAGE != "classify":
        stage.custody().receive(request.args[0])


@worker_shutting_down.connect(weak=False)
def wind_down(**_: Any) -> None:
    """SIGTERM: nothing new goes out; a peer that takes too long over its reply is left."""
    if STAGE == "deliver":
        sender = network.sender()
        sender.stop()
        timer = threading.Timer(WIRE_SECONDS, sender.connector.close)
        timer.daemon = True
        timer.start()


@worker_shutdown.connect(weak=False)
def shut_down(**_: Any) -> None:
    """Nothing more comes in: settle or return what is still in this process's hands."""
    if STAGE == "deliver":
        network.sender().wait(WIRE_SECONDS + 0.2)
        FINISHED.flush(1.0)
    if STAGE == "classify":
        upkeep.BESIDE.shutdown(cancel_futures=True)
    stage.custody().stop(SETTLE_SECONDS)
    close_old_connections()
