"""Postfix's smtp-sink as the peer: strict about commands, and with faults of its own on request."""

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mta.net.smtp import ConnectFailed, Connection, Target
from tests.effects.net.peers import SHORT, message, send

SINK = Path("/usr/sbin/smtp-sink")

pytestmark = pytest.mark.skipif(not SINK.exists(), reason="postfix is not installed")


@contextmanager
def smtp_sink(*options: str) -> Iterator[Target]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # As root it insists on another user to become.
    user = ("-u", "nobody") if os.geteuid() == 0 else ()
    command = [str(SINK), *user, *options, f"127.0.0.1:{port}", "50"]
    with subprocess.Popen(command) as process:
        try:
            yield Target(
                host="mx.sink.test", address="127.0.0.1", port=port, tls="none", timeouts=SHORT
            )
        finally:
            process.terminate()


async def opened(target: Target) -> Connection:
    """A connection, as soon as the sink listens."""
    for _ in range(500):
        try:
            return await Connection.open(target)
        except ConnectFailed as failure:
            if "refused" not in str(failure):
                raise
            await asyncio.sleep(0.01)
    raise AssertionError("smtp-sink does not listen")


@pytest.mark.parametrize("options", [(), ("-p",)], ids=["pipelining", "stepwise"])
def test_a_batch_is_taken(run, options):
    async def scenario():
        with smtp_sink(*options) as target:
            connection = await opened(target)
            assert ("PIPELINING" in connection.capabilities) == (not options)
            outcomes = await send(connection, [message(key) for key in range(200)])
            assert [o.key for o in outcomes if o.delivered] == list(range(200))
            await connection.quit()

    run(scenario)


@pytest.mark.parametrize(
    ("options", "stage", "code"),
    [
        (("-f", "MAIL"), "mail", 500),
        (("-f", "RCPT"), "rcpt", 500),
        (("-f", "DATA"), "data", 500),
        (("-f", "."), "dot", 500),
        (("-r", "RCPT"), "rcpt", 450),
        (("-r", "."), "dot", 450),
    ],
)
@pytest.mark.parametrize("also", [(), ("-p",)], ids=["pipelining", "stepwise"])
def test_refusals_are_told_for_every_message(run, options, stage, code, also):
    async def scenario():
        with smtp_sink(*options, *also) as target:
            outcomes = await send(await opened(target), [message(key) for key in range(3)])
            assert [(o.key, o.stage, o.reply.code if o.reply else o.error) for o in outcomes] == [
                (key, stage, code) for key in range(3)
            ]

    run(scenario)


@pytest.mark.parametrize(
    ("command", "stage"), [("MAIL", "mail"), ("RCPT", "rcpt"), ("DATA", "data"), (".", "dot")]
)
@pytest.mark.parametrize("also", [(), ("-p",)], ids=["pipelining", "stepwise"])
def test_disconnections_leave_one_message_tried(run, command, stage, also):
    async def scenario():
        with smtp_sink("-q", command, *also) as target:
            outcomes = await send(await opened(target), [message(key) for key in range(3)])
            assert [(o.stage, o.reply, o.attempted) for o in outcomes] == [
                (stage, None, True),
                ("mail", None, False),
                ("mail", None, False),
            ]

    run(scenario)
