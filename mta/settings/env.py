"""Reads typed values from the environment and refuses nonsense by name.

Rule 1: every variable starts with MAILMILL_; a secret may come from the file that NAME_FILE names.
Rule 2: a wrong value stops the start with a sentence that names the variable and the fix.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TypeVar

from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")
HostPort = tuple[str, int]
Network = IPv4Network | IPv6Network


class Env:
    """One environment; `read` and friends raise ImproperlyConfigured naming the variable."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.environ = environ
        self.known: set[str] = set()

    def text(self, name: str, default: str = "") -> str:
        """The value of MAILMILL_<name>, or the content of the file MAILMILL_<name>_FILE names."""
        full = f"MAILMILL_{name}"
        self.known |= {full, f"{full}_FILE"}
        path = self.environ.get(f"{full}_FILE")
        if path and self.environ.get(full):
            raise ImproperlyConfigured(f"Both {full} and {full}_FILE are set: keep one of them.")
        if path:
            try:
                return Path(path).read_text().strip()
            except OSError as error:
                raise ImproperlyConfigured(
                    f"{full}_FILE: cannot read {path}: {error.strerror}. Give a readable file."
                ) from None
        return self.environ.get(full, "") or default

    def parse(self, name: str, default: str, convert: Callable[[str], T], wanted: str) -> T:
        """The converted value; `wanted` completes the sentence 'give ...'."""
        value = self.text(name, default)
        try:
            return convert(value)
        except ValueError:
            raise ImproperlyConfigured(
                f"MAILMILL_{name}: {value!r} does not fit; give {wanted}."
            ) from None

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        def convert(value: str) -> int:
            number = int(value)
            if not low <= number <= high:
                raise ValueError
            return number

        return self.parse(name, str(default), convert, f"a whole number from {low} to {high}")

    def flag(self, name: str, default: bool) -> bool:
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

        def convert(value: str) -> bool:
            if value.lower() not in words:
                raise ValueError
            return words[value.lower()]

        return self.parse(name, "1" if default else "0", convert, "1 or 0")

    def bind(self, name: str, default: str) -> HostPort:
        return self.parse(name, default, host_port, "address:port, such as 127.0.0.1:2525")

    def host_ports(self, name: str, default_port: int) -> tuple[HostPort, ...]:
        def convert(value: str) -> tuple[HostPort, ...]:
            words = [word.strip() for word in value.split(",") if word.strip()]
            return tuple(host_port(word, default_port) for word in words)

        return self.parse(name, "", convert, "addresses as host[:port], separated by commas")

    def networks(self, name: str) -> tuple[Network, ...]:
        def convert(value: str) -> tuple[Network, ...]:
            return tuple(ip_network(word.strip()) for word in value.split(",") if word.strip())

        return self.parse(name, "", convert, "networks such as 10.0.0.0/8,192.0.2.1/32")

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        def convert(value: str) -> str:
            if value not in choices:
                raise ValueError
            return value

        return self.parse(name, default, convert, "one of " + ", ".join(choices))

    def unknown(self) -> list[str]:
        """MAILMILL_ variables that nothing read: most likely a typing error."""
        return sorted(k for k in self.environ if k.startswith("MAILMILL_") and k not in self.known)


def host_port(value: str, default_port: int | None = None) -> HostPort:
    """Split "host:port" ("[v6]:port" for IPv6); ValueError when it is no address with a port."""
    host, _, port = value.rpartition(":")
    if default_port is not None and (not host or value.endswith("]")):
        host, port = value, str(default_port)
    host = host.strip("[]")
    ip_address(host)
    number = int(port)
    if not 0 < number < 65536:
        raise ValueError(value)
    return host, number
