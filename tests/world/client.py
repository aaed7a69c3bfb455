"""The hand of a test in the fake world: start it, ask what it took, change its behaviour."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import tempfile
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.services.processes import ChildProcess, wait_until
from tests.world.ledger import Acceptance

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 20.0
#: Seconds of one waiting question to the world.
LONGEST_WAIT = 1.0


@dataclass(frozen=True, slots=True)
class SiteStatus:
    domain: str
    accepted: int
    #: Connections ever, open now by client address, and the most at once by client address.
    connections: int
    open: dict[str, int]
    peak: dict[str, int]
    #: Connections that a "hold" keeps waiting now.
    held: int
    #: How often each refusal was given: {"rcpt 452": 2, "data drop": 1}.
    refusals: dict[str, int]


class World:
    """A running fake world. Safe to use from several threads; several may watch one world.

    RuntimeError carries the world's own words when it refuses a request.
    """

    def __init__(
        self, ports: dict[str, Any], child: ChildProcess | None, state: Path | None
    ) -> None:
        self.dns: str = ports["dns"]
        self.smtp_port: int = ports["smtp_port"]
        #: PEM file of the authority that signed the peers' certificate.
        self.ca_file = Path(ports["ca_file"])
        self.child = child
        self.temporary = state
        self.lock = threading.RLock()
        self.epoch = 0
        self.entries: list[Acceptance] = []
        self.socket = socket.create_connection(("127.0.0.1", ports["control_port"]))
        self.file = self.socket.makefile("rwb")

    @classmethod
    def start(
        cls,
        state: Path | None = None,
        *,
        dns: str = "127.0.0.1:0",
        smtp_port: int = 0,
        greylist_seconds: float = 10.0,
        keep_content: int = 1000,
        count_only: bool = False,
    ) -> World:
        """A world in a process of its own, which ends with `stop` or with this process.

        `state` takes its log, its authority and ready.json; None is a temporary folder.
        `count_only` is for load: no entry per message, `total` and `status` still count.
        AssertionError with its log when it does not come up.
        """
        folder = state or Path(tempfile.mkdtemp(prefix="fake-world-"))
        folder.mkdir(parents=True, exist_ok=True)
        ready = folder / "ready.json"
        ready.unlink(missing_ok=True)
        words: list[str | Path] = [sys.executable, "-m", "tests.world", "--state", folder]
        words += ["--ready-file", ready, "--dns", dns, "--smtp-port", str(smtp_port)]
        words += ["--greylist-seconds", str(greylist_seconds)]
        words += ["--keep-content", str(keep_content), "--stop-with-stdin"]
        if count_only:
            words.append("--count-only")
        child = ChildProcess(words, output=folder / "world.log", cwd=ROOT, hold_stdin=True)
        wait_until(
            lambda: ready.exists() or not child.running,
            START_TIMEOUT,
            lambda: f"the start of {child}",
        )
        if not ready.exists():
            raise AssertionError(f"the fake world did not start: {child}")
        return cls(json.loads(ready.read_text()), child, None if state else folder)

    @classmethod
    def attach(cls, ready_file: Path) -> World:
        """The world that wrote `ready_file`; `stop` only leaves it."""
        return cls(json.loads(ready_file.read_text()), None, None)

    def stop(self) -> None:
        self.file.close()
        self.socket.close()
        if self.child is not None:
            with self.child:
                pass
        if self.temporary is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)

    # What happened

    def accepted(self, domain: str | None = None) -> list[Acceptance]:
        """Everything accepted since the last reset, in order; of one domain when named."""
        with self.lock:
            self.fetch(0.0)
            return [one for one in self.entries if domain in (None, one.domain)]

    def fetch(self, wait: float) -> None:
        total = -1
        while len(self.entries) != total:
            page = self.ask("accepted", after=len(self.entries), wait=wait, epoch=self.epoch)
            if page["epoch"] != self.epoch:
                self.epoch = page["epoch"]
                self.entries.clear()
            self.entries += [Acceptance(*entry) for entry in page["entries"]]
            total = page["total"] if page["entries"] else len(self.entries)
            wait = 0.0

    def wait_for(
        self,
        predicate: Callable[[list[Acceptance]], Any],
        timeout: float,
        what: str = "the predicate",
    ) -> list[Acceptance]:
        """Everything accepted, once `predicate` of it is true; asked again when there is more.

        AssertionError names `what` and what had been accepted when `timeout` seconds are over.
        """
        deadline = time.monotonic() + timeout
        got = self.accepted()
        while not predicate(got):
            left = deadline - time.monotonic()
            if left <= 0:
                seen = dict(Counter(one.domain for one in got))
                raise AssertionError(f"not within {timeout:g} s: {what}; accepted: {seen}")
            with self.lock:
                self.fetch(min(left, LONGEST_WAIT))
                got = list(self.entries)
        return got

    def wait_for_recipients(self, recipients: Sequence[str], timeout: float) -> list[Acceptance]:
        """Everything accepted, once every one of `recipients` has been."""
        wanted = set(recipients)

        def all_there(got: list[Acceptance]) -> bool:
            return wanted <= {one.recipient for one in got}

        return self.wait_for(all_there, timeout, f"{len(wanted)} recipients, {recipients[:3]}")

    def times_accepted(self) -> Counter[str]:
        """How often each recipient's mail was accepted: 0 is a loss, 2 a duplicate."""
        return Counter(one.recipient for one in self.accepted())

    def duplicates(self) -> dict[tuple[str, str], int]:
        """(recipient, Message-ID) accepted more than once, and how often."""
        counts = Counter((one.recipient, one.message_id) for one in self.accepted())
        return {key: count for key, count in counts.items() if count > 1}

    def content(self, number: int) -> bytes:
        """The message of an acceptance without dot-stuffing; LookupError when not kept."""
        encoded = self.ask("content", number=number)
        if encoded is None:
            raise LookupError(f"content {number} was not kept; see keep_content")
        return b64decode(encoded)

    @property
    def total(self) -> int:
        """Messages accepted since the last reset, also when entries are not kept."""
        count: int = self.ask("status")["total"]
        return count

    def site(self, domain: str) -> SiteStatus:
        return SiteStatus(**self.ask("status")["sites"][domain])

    def queries(self, name: str, type: str) -> int:
        """How often the name server was asked for this name and type since the last reset."""
        asked = {(n, t): count for n, t, count in self.ask("status")["queries"]}
        return asked.get((name, type), 0)

    # What shall happen

    def set_behaviour(self, domain: str, name: str, **options: Any) -> None:
        """From now on `domain` behaves like the preset `name`; options are fields of `Behaviour`.

        Counts per recipient begin anew, and connections held by the former behaviour go on.
        """
        self.ask("set_behaviour", domain=domain, name=name, options=options)

    def release(self, domain: str) -> int:
        """Let the connections held now go on; how many there were."""
        count: int = self.ask("release", domain=domain)
        return count

    def add_site(
        self,
        domain: str,
        name: str = "accept",
        hosts: Sequence[str] = (),
        *,
        also: Sequence[str] = (),
        **options: Any,
    ) -> list[str]:
        """A new domain with MX hosts of these names (default mx1.<domain>); their addresses.

        Its peers take mail for the domain, everything below it and the domains in `also` ("*" for
        all), for which `set_records` then points an MX here.
        """
        addresses: list[str] = self.ask(
            "add_site",
            domain=domain,
            name=name,
            hosts=list(hosts),
            also=list(also),
            options=options,
        )
        return addresses

    def set_records(self, name: str, type: str, *values: str, ttl: int = 300) -> None:
        """Replace the DNS records of one name and type; no values remove them.

        Types: MX "10 host", A, AAAA, TXT (unquoted, any length), CNAME, and RCODE with SERVFAIL,
        REFUSED, NXDOMAIN or DROP (no answer at all).
        """
        self.ask("set_records", name=name, type=type, values=list(values), ttl=ttl)

    def reset(self) -> None:
        """As at the start: nothing accepted, cast and zones as written; added sites are gone."""
        self.ask("reset")

    def ask(self, op: str, **arguments: Any) -> Any:
        with self.lock:
            self.file.write(json.dumps({"op": op, **arguments}).encode() + b"\n")
            self.file.flush()
            line = self.file.readline()
        if not line:
            raise RuntimeError(f"the fake world is gone: {self.child}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["ok"]

    def __enter__(self) -> World:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
