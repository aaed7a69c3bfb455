"""The sockets of a worker process: one loop, one resolver, one sender, made at first use."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mta import wiring
from mta.delivery.connect import Connector
from mta.delivery.custody import Custody
from mta.delivery.send import Sender
from mta.net.dns import ResolveError, Resolver, Route
from mta.net.loop import LoopThread
from mta.net.tls import client_context
from mta.storage.transactions import let_go

log = logging.getLogger(__name__)
#: More would only wait for one another: Redis answers in a fraction of a millisecond.
MOST_REDIS_THREADS = 16
_lock = threading.Lock()
_network: list[Network] = []
_sender: list[Sender] = []


@dataclass(frozen=True, slots=True)
class Network:
    """The loop, and the resolver whose futures belong to it."""

    loop: LoopThread
    resolver: Resolver


def network() -> Network:
    """This process's; made once, however many threads ask for it first."""
    with _lock:
        if not _network:
            thread = LoopThread()
            thread.start()
            _network.append(Network(thread, wiring.resolver()))
        return _network[0]


def route_to(domain: str) -> Route | ResolveError:
    """The MX route of a domain, or why there is none."""
    let_go()
    try:
        here = network()
        return here.loop.run(here.resolver.route(domain))
    except ResolveError as error:
        return error


def routes_to(domains: Iterable[str]) -> dict[str, Route | ResolveError]:
    """The MX route of each domain, or why there is none; looked up side by side.

    A bug in one look-up is a temporary failure of that domain alone.
    """
    let_go()
    wanted = list(dict.fromkeys(domains))
    here = network()
    return dict(zip(wanted, here.loop.run(looked_up(here.resolver, wanted)), strict=True))


async def looked_up(resolver: Resolver, domains: Sequence[str]) -> list[Route | ResolveError]:
    answers = await asyncio.gather(*map(resolver.route, domains), return_exceptions=True)
    return [answered(domain, answer) for domain, answer in zip(domains, answers, strict=True)]


def answered(domain: str, answer: Route | BaseException) -> Route | ResolveError:
    if isinstance(answer, Route | ResolveError):
        return answer
    if not isinstance(answer, Exception):  # the loop ends
        raise answer
    log.error("look-up of %s", domain, exc_info=answer)
    return ResolveError(False, 451, "4.4.3", "the look-up met an error; the log tells it")


def open_sender(custody: Custody) -> Sender:
    """Make this process's sender; its leases are kept alive by the custody."""
    config = wiring.config()
    connector = Connector(
        network().loop,
        wiring.limits(),
        wiring.memory(),
        port=config.remote_smtp_port,
        tls_context=client_context(),
        verified=client_context(config.ca_file or None, verified=True),
        most=config.deliver_connections,
        threads=min(config.deliver_threads, MOST_REDIS_THREADS),
    )
    custody.leases = connector.leases
    sender = Sender(connector, wiring.limits(), custody)
    with _lock:
        _sender[:] = [sender]
    return sender


def sender() -> Sender:
    """The sender of this process; RuntimeError in a process that is no deliver worker."""
    if not _sender:
        raise RuntimeError("this process sends no mail: start it with `manage.py worker deliver`")
    return _sender[0]
