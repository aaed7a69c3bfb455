"""How a test talks to the fake world: JSON over TCP, a request and an answer a line.

A request is {"op": NAME, ...}; the answer is {"ok": result} or {"error": text}.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

import orjson

from tests.world.behaviour import make
from tests.world.server import FakeWorld

#: Entries in one answer; a reader asks again for the rest.
PAGE = 20_000
#: Seconds a waiting answer gathers more entries in, so that a busy world is not asked once per
#: message.
GATHER = 0.01


class Control:
    def __init__(self, world: FakeWorld) -> None:
        self.world = world

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(orjson.dumps(await self.answer(line)) + b"\n")
                await writer.drain()
        except ConnectionError:
            return  # a client that was killed
        finally:
            writer.close()

    async def answer(self, line: bytes) -> dict[str, Any]:
        request = orjson.loads(line)
        handler = getattr(self, "do_" + request.pop("op"))
        try:
            return {"ok": await handler(**request)}
        except (ValueError, LookupError) as error:
            return {"error": str(error)}

    async def do_accepted(self, after: int, wait: float, epoch: int) -> dict[str, Any]:
        """Entries from number `after` on; waits up to `wait` seconds for the first."""
        ledger = self.world.ledger
        if wait and epoch == ledger.epoch and ledger.total <= after:
            await ledger.growth(after, wait)
            await asyncio.sleep(GATHER)
        start = after if epoch == ledger.epoch else 0
        entries = [tuple(entry) for entry in ledger.entries[start : start + PAGE]]
        return {"epoch": ledger.epoch, "entries": entries, "total": ledger.total}

    async def do_content(self, number: int) -> str | None:
        content = self.world.ledger.contents.get(number)
        return None if content is None else b64encode(content).decode()

    async def do_status(self) -> dict[str, Any]:
        return self.world.status()

    async def do_set_behaviour(self, domain: str, name: str, options: dict[str, Any]) -> None:
        await self.world.set_behaviour(domain, make(name, options))

    async def do_add_site(
        self, domain: str, name: str, hosts: list[str], also: list[str], options: dict[str, Any]
    ) -> list[str]:
        return await self.world.add_site(domain, make(name, options), hosts, also)

    async def do_release(self, domain: str) -> int:
        return self.world.sites[domain].release()

    async def do_set_records(self, name: str, type: str, values: list[str], ttl: int) -> None:
        self.world.zones.put(name, type, values, ttl)

    async def do_reset(self) -> None:
        await self.world.reset()
