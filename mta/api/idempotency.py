"""A request that is sent again under the same Idempotency-Key gets the answer of the first.

Rule 1: the answer is stored in the transaction of the mail itself: both are there, or neither.
Rule 2: same key and same body: same answer. Same key, other body: 409.
Rule 3: of two requests at once one stores; the other finds the key taken, stores nothing and
        answers what the first did.
Only accepted mail is remembered: a refused request changed nothing and may be corrected.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from django.db import connection

from mta.api.problems import Problem, invalid
from mta.spool.models import IdempotencyKey
from mta.storage.fields import now_ms

READABLE = re.compile(r"[!-~]{1,255}")


class KeyTaken(Exception):
    """Another request stored its answer under this key first; the transaction must be undone."""


@dataclass(frozen=True, slots=True)
class Key:
    """The key of one request, with the digest of its body."""

    tenant_id: int
    key: str
    digest: str

    def known_answer(self) -> str | None:
        """The JSON that was answered; None when the key is new; Problem for another body."""
        found = IdempotencyKey.objects.filter(tenant_id=self.tenant_id, key=self.key).first()
        if found is None:
            return None
        if found.request_digest != self.digest:
            raise Problem(
                "idempotency-conflict",
                "This Idempotency-Key was used with another body: take a new key.",
            )
        return found.response

    def store(self, response: str) -> None:
        """Keep the answer (inside the mail's transaction); KeyTaken when somebody was first."""
        with connection.cursor() as cursor:
            cursor.execute(
                f'INSERT INTO "{IdempotencyKey._meta.db_table}" '  # noqa: S608
                "(tenant_id, key, request_digest, status, response, created_at) "
                "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (tenant_id, key) DO NOTHING",
                [self.tenant_id, self.key, self.digest, 202, response, now_ms()],
            )
            if cursor.rowcount != 1:
                raise KeyTaken


def key_of(tenant_id: int, header: str | None, body: bytes) -> Key | None:
    """The key that the header names; None without one; Problem when it is malformed."""
    if header is None:
        return None
    if not READABLE.fullmatch(header):
        raise invalid("Idempotency-Key", "Give 1 to 255 visible ASCII characters, such as a UUID.")
    return Key(tenant_id, header, hashlib.sha256(body).hexdigest())
