"""The certificate of all peers of a fake world, from an authority made anew each time."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


def server_context(names: list[str], state: Path) -> ssl.SSLContext:
    """A context whose certificate has all these names; its authority goes to `state`/ca.pem."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(state / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context
