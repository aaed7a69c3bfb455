"""Dispatch runs in this process, on a real Redis that knows nothing yet."""

from tests.state.commands.conftest import fresh_redis

__all__ = ["fresh_redis"]
