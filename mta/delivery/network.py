"""The sockets of a worker process: one loop, one resolver, one sender, made at first use."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from mta import wiring
from mta.delivery.connect import Connector
from mta.delivery.custody import Custody
from mta.delivery.send import Sender
from mta.net.dns import ResolveError, Resolver, Route
from mta.net.loop import LoopThread
from mta.net.tls import client_context
from mta.storage.transactions import let_go

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
