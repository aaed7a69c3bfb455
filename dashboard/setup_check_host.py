"""This host: the data folder, the files a process may open, ports, and the sources' addresses."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import socket
import tempfile
from pathlib import Path

from dashboard.setup_check_finding import Finding, doubtful, failed, fine
from mta import wiring
from mta.egress.models import Source
from mta.supervise import open_files

GIB = 2**30
LITTLE_SPACE, TOO_LITTLE_SPACE = 2 * GIB, GIB // 4
#: Thousands of connections in one worker process need as many files.
ENOUGH_FILES, TOO_FEW_FILES = 16_384, 1_024
BINDS = ("http_bind", "relay_bind", "submission_bind", "smtps_bind", "flower_bind")
FIXES = {
    errno.EADDRINUSE: "stop what listens there, or give another address",
    errno.EADDRNOTAVAIL: "give an address of this host",
    errno.EACCES: "give a port from 1024 up, or the right to use this one",
}


def data_folder() -> list[Finding]:
    """The folder can be written to and has room."""
    folder = wiring.config().data_dir
    try:
        with tempfile.TemporaryFile(dir=folder):
            space = os.statvfs(folder)
    except OSError as error:
        return [
            failed(
                "data folder",
                f"{folder} cannot be written to ({error.strerror})",
                "give this account the right, or another folder in MAILMILL_DATA_DIR.",
            )
        ]
    free = space.f_bavail * space.f_frsize
    said = f"{folder} can be written to, {free / GIB:.1f} GiB free"
    fix = "make room: mail is refused when the disk is full."
    if free < TOO_LITTLE_SPACE:
        return [failed("data folder", said, fix)]
    return [
        doubtful("data folder", said, fix) if free < LITTLE_SPACE else fine("data folder", said)
    ]


def file_limits() -> list[Finding]:
    """`manage.py up` raises the soft limit to the hard one, so the hard one counts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return [fine("file limits", "a process may open any number of files")]
    said = f"a process may open {hard} files"
    fix = f"raise it (ulimit -Hn, LimitNOFILE= of systemd) to {ENOUGH_FILES} or more."
    if hard < TOO_FEW_FILES:
        return [failed("file limits", said, fix)]
    return [
        doubtful("file limits", said, fix) if hard < ENOUGH_FILES else fine("file limits", said)
    ]


def delivery_connections() -> list[Finding]:
    """A deliver worker may open the connections that its settings allow."""
    wanted = wiring.config().deliver_connections
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fits = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - open_files.RESERVE)
    if fits < wanted:
        said = f"a deliver worker may hold {max(0, fits)} of {wanted} connections"
        return [doubtful("connections", said, f"{open_files.too_few(wanted, max(0, fits))}.")]
    return [fine("connections", f"a deliver worker may hold {wanted} connections")]


def ports() -> list[Finding]:
    """The addresses of our listeners are free, or ours already."""
    running = stack_runs(wiring.config().data_dir)
    return [port_of(bind, running) for bind in BINDS]


def port_of(bind: str, running: bool) -> Finding:
    host, port = getattr(wiring.config(), bind)
    variable = f"MAILMILL_{bind.upper()}"
    error = binding_error(host, port)
    if error is None:
        return fine("ports", f"{host}:{port} is free ({variable})")
    if error.errno == errno.EADDRINUSE and running:
        return fine("ports", f"{host}:{port} is in use while the stack runs ({variable})")
    fix = FIXES.get(error.errno or 0, "give another address")
    return failed("ports", f"{host}:{port}: {error.strerror}", f"{fix} in {variable}.")


def binding_error(host: str, port: int) -> OSError | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return error
    return None


def stack_runs(data_dir: Path) -> bool:
    """Whether `manage.py up` holds its lock on the data folder."""
    try:
        with (data_dir / "up.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def sources() -> list[Finding]:
    """Connections can leave from each source's address; nobody is connected to."""
    rows = list(Source.objects.all())
    if not rows:
        return [
            doubtful(
                "sources",
                "there is no source yet",
                "make a tenant (create_tenant NAME), or add a source in the admin.",
            )
        ]
    return [source_of(row) for row in rows]


def source_of(row: Source) -> Finding:
    if not row.address:
        return fine("sources", f"source {row.name} leaves from any address of this host")
    error = binding_error(row.address, 0)
    if error is None:
        return fine("sources", f"source {row.name} can leave from {row.address}")
    return failed(
        "sources",
        f"source {row.name} cannot leave from {row.address} ({error.strerror})",
        "configure the address on this host, or take the source out of its pools.",
    )
