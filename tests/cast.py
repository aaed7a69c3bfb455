"""The people and things of the tests: one tenant that can send, and what it sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mta.egress.models import Pool, PoolMember, Source
from mta.mail.address import parse_address
from mta.spool.inject import NewMessage, NewRecipient
from mta.spool.models import Recipient
from mta.tenants.models import SendingDomain, Stream, StreamKind, Tenant

RAW = b"From: <news@acme.test>\r\nTo: <you@example.org>\r\nSubject: Hello\r\n\r\nHello.\r\n"


@dataclass(frozen=True)
class Cast:
    tenant: Tenant
    transactional: Stream
    bulk: Stream
    source: Source

    def message(self, *to: str, stream: Stream | None = None, **values: Any) -> NewMessage:
        """A raw message of the tenant to these addresses."""
        values.setdefault("content", RAW)
        values.setdefault("kind", "raw")
        values.setdefault("reverse_path", "bounces@acme.test")
        values.setdefault("origin", "command")
        return NewMessage(
            tenant_id=self.tenant.pk,
            stream_id=(stream or self.transactional).pk,
            sender_domain="acme.test",
            recipients=[NewRecipient(parse_address(address)) for address in to],
            **values,
        )


def make_cast(name: str = "acme", domain: str = "acme.test") -> Cast:
    tenant = Tenant.objects.create(name=name)
    pool = Pool.objects.create(name=f"{name}-pool", tenant=tenant)
    source = Source.objects.create(name=f"{name}-source")
    PoolMember.objects.create(pool=pool, source=source)
    SendingDomain.objects.create(tenant=tenant, domain=domain)
    streams = [
        Stream.objects.create(
            tenant=tenant, name=kind.value, kind=kind, pool=pool, is_default=kind == "transactional"
        )
        for kind in StreamKind
    ]
    return Cast(tenant, streams[0], streams[1], source)


def held(token: int) -> list[int]:
    """Ids of the recipients that the token holds."""
    rows = Recipient.objects.filter(state="claimed", claim_token=token).order_by("pk")
    return list(rows.values_list("pk", flat=True))
