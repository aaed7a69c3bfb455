"""The Celery application.

Acknowledgements are off: the database is the truth, a lost message is a claim that ends. With them
one worker process runs 1,200 tasks/s, without and with orjson 4,475 (measured on 2 cores).
"""

from __future__ import annotations

from typing import Any

import orjson
from celery import Celery
from kombu.serialization import register

from mta import wiring
from tasks import queues


def dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


register("orjson", dumps, orjson.loads, "application/x-orjson", "utf-8")


def broker_url(address: str) -> str:
    """kombu's name for the address: it writes Unix sockets as redis+socket://."""
    return address.replace("unix://", "redis+socket://", 1)


#: Whether the stages tell Flower of every task; the profile decides.
EVENTS = wiring.config().profile_values()["task_events"] == "yes"

# Celery's own fixup for Django closes the database connection around every task: four reconnects
# with their PRAGMAs a batch, 20 us a message. The stages give back what they use (stage.py).
app = Celery("mailmill", fixups=[])
app.conf.update(
    broker_url=broker_url(wiring.config().redis_address),
    broker_connection_retry_on_startup=True,
    broker_transport_options={"ack_emulation": False, "queue_order_strategy": "round_robin"},
    task_serializer="orjson",
    accept_content=["orjson", "json"],
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    task_queues=queues.declared(),
    task_create_missing_queues=True,
    task_default_queue=queues.UPKEEP,
    task_routes=(queues.route,),
    task_track_started=False,
    # No limit: one that is reached stops consumption until the next tick of the worker's loop, up
    # to a second later. Dispatch bounds what is under way, the journal covers what is in memory.
    worker_prefetch_multiplier=0,
    worker_send_task_events=True,
    worker_hijack_root_logger=False,
    worker_soft_shutdown_timeout=0,
    timezone="UTC",
    beat_schedule={
        "sweep": {"task": "upkeep.sweep", "schedule": 5.0, "options": {"expires": 30}},
        "rearm": {"task": "upkeep.rearm", "schedule": 600.0, "options": {"expires": 600}},
        "warm": {"task": "upkeep.warm", "schedule": 60.0, "options": {"expires": 120}},
        "control": {"task": "upkeep.control", "schedule": 5.0, "options": {"expires": 30}},
        "forget": {"task": "upkeep.forget", "schedule": 10.0, "options": {"expires": 30}},
    },
    # Nothing to remember: a sweep more or less after a restart is harmless.
    beat_scheduler="celery.beat:Scheduler",
    imports=[
        "tasks.stages.resolve",
        "tasks.stages.sign",
        "tasks.stages.deliver",
        "tasks.stages.classify",
        "tasks.upkeep",
    ],
)
