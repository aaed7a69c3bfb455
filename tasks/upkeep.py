"""Upkeep: the safety nets. Nothing here is needed while everything else works."""

from __future__ import annotations

from mta.spool import claim, inject, upkeep
from mta.storage.transactions import let_go
from tasks.app import app


@app.task(name="upkeep.sweep")
def sweep() -> None:
    """Return claims that ended, expire what ran out of time, and wake the dispatcher."""
    try:
        claim.return_expired()
        upkeep.expire()
        upkeep.forget_idempotency_keys()
    finally:
        let_go()
    inject.ring()


@app.task(name="upkeep.rearm")
def rearm() -> None:
    """Set every lane's due time from its recipients, should one ever be wrong."""
    try:
        upkeep.rearm_all()
    finally:
        let_go()
    inject.ring()
