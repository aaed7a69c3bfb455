"""A smart host for tests: aiosmtpd with AUTH and TLS, in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
import warnings
from collections.abc import Coroutine
from typing import Any, cast

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

NAME = "relay.test"
USER, PASSWORD = "mill", "pässword = 5 %"


class Relay:
    """Takes mail from who logs in as USER; `options` go to aiosmtpd."""

    def __init__(self, authority: trustme.CA, *, implicit: bool = False, **options: Any) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(NAME, "127.0.0.1").configure_cert(context)
        #: (username or "", forward path) of each message taken.
        self.taken: list[tuple[str, str]] = []
        #: (mechanism, whether it was right) of each log-in.
        self.logins: list[tuple[str, bool]] = []
        self.sessions: list[SMTP] = []
        values: dict[str, Any] = {
            "hostname": NAME, "authenticator": self.authenticate, "auth_required": True,
            "auth_require_tls": not implicit, "enable_SMTPUTF8": True,
        }  # fmt: skip
        if not implicit:
            values["tls_context"] = context
        self.options = values | options
        self.context = context if implicit else None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Relay:
        self.thread.start()
        self.server = self.run(self.listen())
        self.port: int = self.server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.hang_up())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(5)

    async def listen(self) -> asyncio.Server:
        return await self.loop.create_server(self.session, "127.0.0.1", 0, ssl=self.context)

    def session(self) -> SMTP:
        with warnings.catch_warnings():  # it does not know of TLS from the first byte
            warnings.simplefilter("ignore", UserWarning)
            made = SMTP(self, loop=self.loop, **self.options)
        self.sessions.append(made)
        return made

    async def hang_up(self) -> None:
        self.server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for session in self.sessions:
            for transport in (session.transport, session._original_transport):
                if transport is not None:
                    cast(asyncio.WriteTransport, transport).abort()
        for _ in range(5):  # each layer of TLS tells the next in a turn of the loop
            await asyncio.sleep(0)

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        right = data == LoginPassword(USER.encode(), PASSWORD.encode())
        self.logins.append((mechanism, right))
        return AuthResult(success=right, handled=False, auth_data=data)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        user = session.auth_data.login.decode() if session.auth_data else ""
        self.taken += [(user, address) for address in envelope.rcpt_tos]
        return "250 2.0.0 taken"
