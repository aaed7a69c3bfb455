"""AUTH at a smart host: against aiosmtpd with real TLS, and against peers that get it wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from mta.net.smtp import ConnectFailed, Connection, Target
from mta.net.smtp_auth import AuthFailed, Login
from mta.net.tls import client_context
from tests.effects.net.conftest import Run
from tests.effects.net.peers import SHORT, Peer, message, send
from tests.effects.relay import NAME, PASSWORD, USER, Relay

LOGIN = Login(USER, PASSWORD)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def relay(authority: trustme.CA) -> Iterator[Relay]:
    with Relay(authority) as running:
        yield running


def target(relay: Relay, **changes: Any) -> Target:
    values: dict[str, Any] = {
        "host": NAME, "address": "127.0.0.1", "port": relay.port, "tls": "required",
        "timeouts": SHORT, "login": LOGIN,
    }  # fmt: skip
    return Target(**(values | changes))


async def refused(where: Target) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as failure:
        await Connection.open(where)
    assert PASSWORD not in str(failure.value)
    return failure.value


async def takes_mail(where: Target) -> None:
    connection = await Connection.open(where)
    assert connection.tls
    assert [o.delivered for o in await send(connection, [message(1), message(2)])] == [True, True]
    await connection.quit()


@pytest.mark.parametrize(("excluded", "used"), [((), "PLAIN"), (("PLAIN",), "LOGIN")])
def test_mail_goes_through_after_the_log_in(
    excluded: tuple[str, ...], used: str, run: Run, authority: trustme.CA
) -> None:
    with Relay(authority, auth_exclude_mechanism=excluded) as relay:
        run(lambda: takes_mail(target(relay)))
        assert relay.logins == [(used, True)]
        assert [user for user, _ in relay.taken] == [USER, USER]


def test_tls_from_the_first_byte(run: Run, authority: trustme.CA, tmp_path: Any) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    verified = client_context(str(ca_file), verified=True)
    with Relay(authority, implicit=True) as relay:
        run(lambda: takes_mail(target(relay, implicit_tls=True)))
        run(lambda: takes_mail(target(relay, implicit_tls=True, tls_context=verified)))

        async def scenario() -> None:
            other = target(relay, implicit_tls=True, tls_context=verified, host="other.test")
            failure = await refused(other)
            assert (failure.stage, "CERTIFICATE_VERIFY_FAILED" in failure.text) == (
                "starttls", True,
            )  # fmt: skip

        run(scenario)
        assert {mechanism for mechanism, _ in relay.logins} == {"PLAIN"}


def test_a_wrong_password_is_stage_auth(run: Run, relay: Relay) -> None:
    async def scenario() -> None:
        failure = await refused(target(relay, login=Login(USER, "wrong")))
        assert failure.stage == "auth"
        assert failure.reply is not None
        assert (failure.reply.code, failure.reply.enhanced) == (535, "5.7.8")

    run(scenario)


def test_a_password_is_never_sent_in_the_clear(run: Run) -> None:
    async def scenario() -> None:
        async with Peer(extensions=("AUTH PLAIN LOGIN",)) as peer:
            for tls in ("none", "opportunistic"):
                failure = await refused(peer.target(tls=tls, login=LOGIN))
                assert (failure.stage, failure.reply) == ("auth", None)
                assert "never sent in the clear" in failure.text
            assert not any(line.startswith("AUTH") for line in peer.commands)

    run(scenario)


def test_without_a_login_nobody_logs_in(run: Run, authority: trustme.CA) -> None:
    with Relay(authority, auth_required=False) as relay:
        run(lambda: takes_mail(target(relay, login=None)))
        assert relay.logins == []


@pytest.mark.parametrize(
    ("extensions", "answers", "text"),
    [
        (("AUTH CRAM-MD5 XOAUTH2",), {}, "(it offers: CRAM-MD5 XOAUTH2)"),
        ((), {}, "(it offers: none)"),
        (("AUTH PLAIN",), {"AUTH": "454 4.7.0 later"}, "refused the log-in"),
        (("AUTH PLAIN",), {"AUTH": "334 "}, "refused the log-in"),
        (("AUTH PLAIN",), {"AUTH": "250 ok"}, "refused the log-in"),
        (("AUTH LOGIN",), {"AUTH": "504 5.5.4 no"}, "refused the log-in"),
    ],
)
def test_peers_that_get_it_wrong(
    extensions: tuple[str, ...], answers: dict[str, str], text: str, run: Run
) -> None:
    from mta.mail.reply import parse_reply
    from mta.net.smtp_auth import log_in
    from mta.net.smtp_envelope import parse_offer

    class Wire:
        """What log_in needs of a protocol that is encrypted already."""

        async def command(self, line: bytes, seconds: float) -> Any:
            return parse_reply(answers[line.split()[0].decode()])

    async def scenario() -> None:
        offer = parse_offer(["relay.test", *extensions])
        with pytest.raises(AuthFailed) as failure:
            await log_in(Wire(), LOGIN, offer, True, 5)  # type: ignore[arg-type]
        assert text in str(failure.value)

    run(scenario)


def test_a_login_does_not_show_its_password() -> None:
    assert PASSWORD not in repr(LOGIN)
    assert PASSWORD not in repr(Target("h", "127.0.0.1", login=LOGIN))
