"""Contents of messages: stored once, small on disk, kept ready in memory."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import zstandard

from mta import wiring
from mta.mail.compose import Composer, Spec
from mta.spool.models import Body, BodyKind
from mta.storage import bulk, secrets
from mta.storage.statement import rows

#: Bytes of plain content that one process keeps ready.
CACHE_BYTES = 64 * 2**20
COLUMNS = ("digest", "kind", "content", "encrypted", "size", "created_at")
#: Holds the row until the transaction ends, so that retention, which takes bodies that are a day
#: old and have no message, takes none that is about to have one.
SHARE = (
    '("digest") DO UPDATE SET created_at = excluded.created_at '
    f'WHERE "{Body._meta.db_table}".created_at < excluded.created_at - 3600000'
)
Content = bytes | Composer


class Zstd(threading.local):
    """One (de)compressor a thread: they hold no two calls at once, and making one costs 10 us."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=3).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd = Zstd()


@dataclass(frozen=True, slots=True)
class Packed:
    """A body as its row: its key, packed content, plain size in bytes."""

    digest: str
    kind: str
    content: bytes
    encrypted: bool
    size: int
    #: No other message has this content.
    unique: bool


def pack(kind: str, plain: bytes, name: str = "") -> Packed:
    """Compress, and encrypt when the instance is set so. 2 KB of HTML: 5 us, a quarter remains.

    `name` is the key of content that no other message can have; names that grow with time keep
    the key's index small and warm. Without it the key is a digest, and equal contents share a row.
    """
    digest = name or hashlib.sha256(kind.encode() + b"\0" + plain).hexdigest()
    content = _zstd.compress(plain)
    encrypted = wiring.config().encrypt_bodies
    if encrypted:
        content = secrets.encrypt(content)
    return Packed(digest, kind, content, encrypted, len(plain), bool(name))


def store(bodies: Iterable[Packed], now: int) -> None:
    """Insert those that are not there yet, hold those that are (in the caller's transaction)."""
    new: list[bulk.Row] = []
    shared: dict[str, bulk.Row] = {}
    for b in bodies:
        row = (b.digest, b.kind, b.content, b.encrypted, b.size, now)
        if b.unique:
            new.append(row)
        else:
            shared[b.digest] = row
    bulk.insert(Body, COLUMNS, new)
    # One order for all writers: two that share bodies cannot wait for each other.
    bulk.insert(Body, COLUMNS, [shared[key] for key in sorted(shared)], conflict=SHARE)


class Bodies:
    """Plain contents and compiled templates by digest, least recently used out first."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self.limit = limit
        self.size = 0
        self.lock = threading.Lock()
        self.ready: OrderedDict[str, tuple[Content, int]] = OrderedDict()

    def get(self, digests: Iterable[str]) -> dict[str, Content]:
        """Contents of all digests; LookupError when a body is missing (a bug or a lost row)."""
        wanted = set(digests)
        found: dict[str, Content] = {}
        with self.lock:
            for digest in wanted & self.ready.keys():
                self.ready.move_to_end(digest)
                found[digest] = self.ready[digest][0]
        missing = wanted - found.keys()
        if missing:
            for body in read(sorted(missing)):
                found[body.digest] = content = unpack(body)
                self.keep(body.digest, content, body.size)
        if len(found) != len(wanted):
            raise LookupError(f"bodies missing: {sorted(wanted - found.keys())}")
        return found

    def keep(self, digest: str, content: Content, size: int) -> None:
        with self.lock:
            if digest in self.ready or size > self.limit // 4:
                return
            self.ready[digest] = (content, size)
            self.size += size
            while self.size > self.limit:
                self.size -= self.ready.popitem(last=False)[1][1]


class Stored(NamedTuple):
    """A body as the hot path reads it; a model instance costs 20 us."""

    digest: str
    kind: str
    content: bytes
    encrypted: bool
    size: int


def read(digests: Sequence[str]) -> list[Stored]:
    """The rows of these bodies."""
    condition, params = bulk.texts("digest", digests)
    names = ", ".join(Stored._fields)
    return [
        Stored._make(row)
        for row in rows(f"SELECT {names} FROM spool_body WHERE {condition}", params)  # noqa: S608
    ]


def unpack(body: Stored | Body) -> Content:
    """The wire form, or the compiled template."""
    content = bytes(body.content)
    if body.encrypted:
        content = secrets.decrypt(content)
    plain = _zstd.decompress(content, max_output_size=body.size)
    return Composer(Spec.from_json(plain)) if body.kind == BodyKind.TEMPLATE else plain
