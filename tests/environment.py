"""The environment of a test process, set before Django reads its settings.

Each process (and each xdist worker) has a data folder of its own. MAILMILL_TEST_BACKEND=postgresql
runs the tests on a real PostgreSQL server, which all workers of a run share.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Workers of xdist inherit what their controller set here.
BACKEND = os.environ.pop("MAILMILL_TEST_BACKEND", os.environ.get("TEST_BACKEND", "sqlite"))
os.environ["TEST_BACKEND"] = BACKEND
for name in [name for name in os.environ if name.startswith("MAILMILL_")]:
    del os.environ[name]

DATA = Path(tempfile.mkdtemp(prefix="mailmill-test-"))
atexit.register(shutil.rmtree, DATA, ignore_errors=True)
os.environ["MAILMILL_DATA_DIR"] = str(DATA)
os.environ["MAILMILL_HOSTNAME"] = "mill.example.net"
os.environ["MAILMILL_SECRET_KEY"] = "a secret key that only tests use, long enough to be one"

if BACKEND == "postgresql":
    from tests.services.postgres import Postgres

    FOLDER = os.environ.setdefault("TEST_POSTGRES_FOLDER", tempfile.mkdtemp(prefix="mailmill-pg-"))
    SERVER = Postgres(Path(FOLDER))
    atexit.register(SERVER.stop)
    os.environ["MAILMILL_DATABASE_URL"] = SERVER.url
elif BACKEND != "sqlite":
    raise SystemExit(f"MAILMILL_TEST_BACKEND: {BACKEND!r}; give sqlite or postgresql")
