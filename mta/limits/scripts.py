"""Lua scripts that lie beside this package, and what redis-py's types do not say about replies."""

from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.commands.core import Script


@cache
def source(name: str) -> str:
    """Return the text of lua/NAME.lua."""
    return files("mta.limits").joinpath(f"lua/{name}.lua").read_text("utf-8")


def load(client: "redis.Redis", name: str) -> Script:
    """Prepare lua/NAME.lua: it runs by its hash, and is sent again when Redis has lost it."""
    return client.register_script(source(name))


def text(value: Any) -> str:
    """Return a Redis string as str, whether or not the client decodes replies."""
    return value.decode() if isinstance(value, bytes) else str(value)
