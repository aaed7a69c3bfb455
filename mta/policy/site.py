"""The name of a site: all MX hosts of a domain rolled up into one word.

Rule 1: domains whose mail goes to the same set of hosts share a site, hence limits and a queue.
Rule 2: one host is its own name; several become their common suffix after an alternation of what
        differs, "(alt1|alt2).aspmx.l.google.com", as KumoMTA writes it.
Rule 3: order and case of the hosts do not matter; a long name is cut and ends in a hash of all.
"""

import hashlib
from collections.abc import Mapping, Sequence

LIMIT = 200
_HASH = 12


def canonical(host: str) -> str:
    """Return a host name in lower case without the root's dot."""
    return host.strip().lower().rstrip(".")


def site_name(mx_hosts: Sequence[str]) -> str:
    """Roll MX host names up into a site name of at most LIMIT characters; ValueError on none."""
    hosts = sorted({name for host in mx_hosts if (name := canonical(host))})
    if not hosts:
        raise ValueError("a site needs at least one MX host")
    return _bounded(_roll_up(hosts), hosts)


def _roll_up(hosts: list[str]) -> str:
    if len(hosts) == 1:
        return hosts[0]
    labels = [host.split(".") for host in hosts]
    shared = 0
    shortest = min(len(parts) for parts in labels)
    while shared < shortest and len({parts[-1 - shared] for parts in labels}) == 1:
        shared += 1
    suffix = labels[0][len(labels[0]) - shared :]
    heads = sorted(head for parts in labels if (head := ".".join(parts[: len(parts) - shared])))
    # A host that is the suffix itself has no head: the alternation becomes optional.
    optional = "?" if len(heads) < len(labels) else ""
    return ".".join([f"({'|'.join(heads)}){optional}", *suffix])


def _bounded(name: str, hosts: list[str]) -> str:
    if len(name) <= LIMIT:
        return name
    digest = hashlib.sha256("\n".join(hosts).encode()).hexdigest()[:_HASH]
    return f"{name[: LIMIT - _HASH - 1]}~{digest}"


def has_suffix(host: str, suffix: str) -> bool:
    """Tell whether `host` is `suffix` or lies below it, label by label."""
    host, suffix = canonical(host), canonical(suffix)
    return host == suffix or host.endswith(f".{suffix}")


def provider_of(mx_hosts: Sequence[str], providers: Mapping[str, Sequence[str]]) -> str:
    """Name the company behind the hosts; "" when none or when they belong to several.

    `providers` maps a name to MX suffixes; the longest matching suffix decides for each host.
    """
    found = {_provider_of_host(host, providers) for host in mx_hosts}
    return found.pop() if len(found) == 1 else ""


def _provider_of_host(host: str, providers: Mapping[str, Sequence[str]]) -> str:
    matches = [
        (len(suffix), name)
        for name, suffixes in providers.items()
        for suffix in suffixes
        if has_suffix(host, suffix)
    ]
    return max(matches)[1] if matches else ""
