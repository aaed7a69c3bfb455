"""The sockets of a worker process: one loop, one resolver, one sender, made at first use."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mta import wiring
from mta.delivery import smart_hosts
from mta.delivery.connect import Connector
from mta.delivery.custody import Custody
from mta.delivery.send import Sender
from mta.egress.sources import SourceFacts
from mta.net.dns import ResolveError, Resolver, Route
from mta.net.loop import LoopThread
from mta.net.tls import client_context
from mta.storage.transactions import let_go
from mta.supervise import open_files
from mta.supervise.refusal import StartRefused

OnFound = Callable[[str, Route | ResolveError], None]
log = logging.getLogger(__name__)
#: More would only wait for one another: Redis answers in a fraction of a millisecond.
MOST_REDIS_THREADS = 16
#: Look-ups side by side: 2,000 at once cost 1.2 ms each and lost datagrams, 64 at a time 0.8 ms.
SIDE_BY_SIDE = 64
#: A look-up that takes longer than this, in seconds, makes room for the next: nobody waits for it.
SLOW_SECONDS = 0.5
#: A worker with room for fewer is not worth its start.
FEWEST_CONNECTIONS = 20
_lock = threading.Lock()
_network: list[Network] = []
_sender: list[Sender] = []


@dataclass(frozen=True, slots=True)
class Network:
    """The loop, and the resolver whose futures belong to it."""

    loop: LoopThread
    resolver: Resolver
    #: Touched in the loop only; keeps the look-ups alive.
    look_ups: set[asyncio.Task[None]] = field(default_factory=set)
    #: Look-ups that may begin now.
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SIDE_BY_SIDE))


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


def smart_route(source: SourceFacts) -> Route | ResolveError:
    """The addresses of the smart host that the source is.

    An error is temporary and no recipient's. The first look-up is waited for; then the resolver
    keeps the answer for as long as the DNS says.
    """
    found = smart_hosts.smart_host(source.id)
    if found is None:
        return ResolveError(False, 451, "4.3.5", f"source {source.name} is no smart host now")
    here = network()
    try:
        known = here.resolver.known_host(found.host)
        if known is not None:
            return known
        let_go()
        return here.loop.run(here.resolver.host_route(found.host))
    except ResolveError as error:
        return error


def look_up(domains: Iterable[str], on_found: OnFound) -> dict[str, Route | ResolveError]:
    """The routes that are known; each other domain is looked up, and told to `on_found` once.

    That happens in the loop, as each answer comes: a slow name server holds up nobody else. A bug
    in one look-up is a temporary failure of that domain alone.
    """
    here = network()
    known: dict[str, Route | ResolveError] = {}
    unknown: list[str] = []
    for domain in dict.fromkeys(domains):
        try:
            route = here.resolver.known(domain)
        except ResolveError as error:
            known[domain] = error
        else:
            if route is None:
                unknown.append(domain)
            else:
                known[domain] = route
    if unknown:
        here.loop.call(start_look_ups, here, unknown, on_found)
    return known


def start_look_ups(here: Network, domains: Sequence[str], on_found: OnFound) -> None:
    """Called in the loop."""
    for domain in domains:
        task = asyncio.ensure_future(found(here, domain, on_found))
        here.look_ups.add(task)
        task.add_done_callback(here.look_ups.discard)


async def found(here: Network, domain: str, on_found: OnFound) -> None:
    """One look-up, when its turn has come."""
    await here.turns.acquire()
    asking = asyncio.ensure_future(here.resolver.route(domain))
    try:
        await asyncio.wait({asking}, timeout=SLOW_SECONDS)
    finally:
        here.turns.release()
    answer: Route | ResolveError
    try:
        answer = await asking
    except ResolveError as error:
        answer = error
    except Exception:
        log.exception("look-up of %s", domain)
        answer = ResolveError(False, 451, "4.4.3", "the look-up met an error; the log tells it")
    on_found(domain, answer)


def open_sender(custody: Custody) -> Sender:
    """Make this process's sender; its leases are kept alive by the custody.

    Raises StartRefused when this process may not open even a few connections.
    """
    config = wiring.config()
    most = open_files.connections_that_fit(config.deliver_connections)
    if most < min(FEWEST_CONNECTIONS, config.deliver_connections):
        raise StartRefused(open_files.too_few(config.deliver_connections, most))
    if most < config.deliver_connections:
        log.warning("%s", open_files.too_few(config.deliver_connections, most))
    connector = Connector(
        network().loop,
        wiring.limits(),
        wiring.memory(),
        port=config.remote_smtp_port,
        tls_context=client_context(),
        verified=client_context(config.ca_file or None, verified=True),
        most=most,
        threads=min(config.deliver_threads, MOST_REDIS_THREADS),
        on_login_refused=smart_hosts.login_refused,
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
