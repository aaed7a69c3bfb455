"""How many connections there may be, in all and from one address."""

from __future__ import annotations

from collections import Counter


class Gate:
    """Counts connections; knows nothing else about them."""

    def __init__(self, limit: int, limit_per_ip: int) -> None:
        self._limit = limit
        self._limit_per_ip = limit_per_ip
        self._by_ip: Counter[str] = Counter()
        self.open = 0

    def enter(self, ip: str) -> bool:
        """Whether one more connection from ip may come in; if so it is counted."""
        if self.open >= self._limit or self._by_ip[ip] >= self._limit_per_ip:
            return False
        self.open += 1
        self._by_ip[ip] += 1
        return True

    def leave(self, ip: str) -> None:
        """One that came in has gone."""
        self.open -= 1
        self._by_ip[ip] -= 1
        if not self._by_ip[ip]:
            del self._by_ip[ip]
