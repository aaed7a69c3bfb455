"""Under what a figure was measured: machine, revision, keys."""

from __future__ import annotations

import os
import platform
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mta.mail import dkim
from tests.bench.options import ROOT


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": processor(),
        "python": platform.python_version(),
        "revision": revision(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def revision() -> str:
    """The commit, with "+" when files differ from it."""
    words = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def engine(chosen: str) -> str:
    """How RSA is computed when MAILMILL_RSA is `chosen`."""
    dkim.use(chosen)
    return dkim.engine()


def key_kind(record: str) -> str:
    """Kind and size of the key in a DKIM record (RFC 6376 3.6.1)."""
    tags = dict(part.strip().split("=", 1) for part in record.split(";") if "=" in part)
    kind = tags.get("k", "rsa").strip()
    if kind != "rsa":
        return kind
    key = load_der_public_key(b64decode(tags["p"]))
    return f"rsa-{key.key_size}" if isinstance(key, RSAPublicKey) else kind
