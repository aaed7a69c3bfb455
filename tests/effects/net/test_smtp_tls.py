"""STARTTLS against aiosmtpd with real certificates, and against peers that break it."""

import asyncio
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme
from aiosmtpd.handlers import Message as MessageHandler
from aiosmtpd.smtp import SMTP

from mta.net.smtp import ConnectFailed, Connection, Target
from mta.net.tls import client_context
from tests.effects.net.peers import CLOSE, SHORT, Peer, message, send


class Keep(MessageHandler):
    def __init__(self) -> None:
        super().__init__()
        self.taken: list[str] = []

    def handle_message(self, message):
        self.taken.append(message.get_payload())


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_context(authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mx.peer.test").configure_cert(context)
    return context


@pytest.fixture
def handler() -> Keep:
    return Keep()


@pytest.fixture
def aiosmtpd_target(handler, server_context) -> Iterator[Target]:
    """aiosmtpd in a thread of its own; its Controller cannot choose a free port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen() -> asyncio.Server:
        return await loop.create_server(
            lambda: SMTP(
                handler, hostname="mx", tls_context=server_context, require_starttls=True, loop=loop
            ),
            "127.0.0.1",
            0,
        )

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(5)
    port = server.sockets[0].getsockname()[1]
    yield Target(host="mx.peer.test", address="127.0.0.1", port=port, timeouts=SHORT)

    async def hang_up() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    asyncio.run_coroutine_threadsafe(hang_up(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def with_tls(target: Target, **changes: object) -> Target:
    values = {name: getattr(target, name) for name in Target.__slots__}
    return Target(**(values | changes))


@pytest.mark.parametrize("mode", ["opportunistic", "required"])
def test_encryption_without_verification(run, aiosmtpd_target, handler, mode):
    async def scenario():
        connection = await Connection.open(with_tls(aiosmtpd_target, tls=mode))
        assert connection.tls.startswith("TLSv1.3 TLS_")
        outcomes = await send(connection, [message(1), message(2)])
        assert [o.delivered for o in outcomes] == [True, True]
        await connection.quit()
        assert handler.taken == ["hello\n", "hello\n"] or handler.taken == ["hello\r\n"] * 2

    run(scenario)


def test_verification_accepts_the_right_name_and_nothing_else(
    run, aiosmtpd_target, authority, tmp_path
):
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    trusting = client_context(str(ca_file), verified=True)
    strict = client_context(verified=True)

    async def scenario():
        connection = await Connection.open(with_tls(aiosmtpd_target, tls_context=trusting))
        assert connection.tls
        await connection.quit()
        for changes in (
            {"tls_context": strict},
            {"tls_context": trusting, "host": "mx2.peer.test"},
        ):
            with pytest.raises(ConnectFailed, match="certificate verify failed") as failure:
                await Connection.open(with_tls(aiosmtpd_target, **changes))
            assert failure.value.stage == "starttls"

    run(scenario)


def test_tls_mode_none_never_asks_for_it(run, server_context):
    async def scenario():
        async with Peer(extensions=("STARTTLS",), context=server_context) as peer:
            connection = await Connection.open(peer.target(tls="none"))
            assert connection.tls == ""
            assert "STARTTLS" not in peer.commands

    run(scenario)


def test_required_tls_is_not_waived(run):
    async def scenario():
        async with Peer() as peer:
            with pytest.raises(ConnectFailed, match="does not offer STARTTLS") as failure:
                await Connection.open(peer.target(tls="required"))
            assert failure.value.stage == "starttls"
            connection = await Connection.open(peer.target(tls="opportunistic"))
            assert connection.tls == ""

    run(scenario)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("454 4.7.0 no TLS today", 454),
        ("500 what?", 500),
        (CLOSE, 0),
        (b"hello\r\n", 0),
        (b"220 go\r\n\x15\x03\x01\x00\x02\x02\x28", 0),
    ],
    ids=["454", "500", "closed", "garbage", "alert"],
)
def test_broken_starttls_is_told_so_that_the_caller_can_go_without(run, answer, code):
    broken = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # has no certificate

    async def scenario():
        async with Peer(
            extensions=("STARTTLS",), answers={"STARTTLS": answer}, context=broken
        ) as peer:
            with pytest.raises(ConnectFailed) as failure:
                await Connection.open(peer.target(tls="opportunistic"))
            assert failure.value.stage == "starttls"
            assert (failure.value.reply.code if failure.value.reply else 0) == code
            connection = await Connection.open(peer.target(tls="none"))
            assert (await send(connection, [message(1)]))[0].delivered

    run(scenario)


def test_what_came_in_plain_behind_the_220_is_dropped(run, server_context):
    """RFC 3207 4.2: else an attacker in the path could answer the first EHLO inside TLS."""

    async def scenario():
        async with Peer(
            extensions=("STARTTLS", "8BITMIME"),
            answers={"STARTTLS": b"220 go\r\n250-evil\r\n250 EVIL\r\n250 half a li"},
            context=server_context,
        ) as peer:
            connection = await Connection.open(peer.target(tls="required"))
            assert connection.capabilities == {"STARTTLS", "8BITMIME"}
            assert (await send(connection, [message(1)]))[0].delivered

    run(scenario)


def test_a_session_that_dies_behind_the_handshake_has_broken_starttls(run, server_context):
    async def scenario():
        async with Peer(
            extensions=("STARTTLS",),
            answers={"STARTTLS": "220 go", "EHLO": ["250-peer\r\n250 STARTTLS", CLOSE]},
            context=server_context,
        ) as peer:
            with pytest.raises(ConnectFailed) as failure:
                await Connection.open(peer.target(tls="opportunistic"))
            assert failure.value.stage == "starttls"

    run(scenario)
