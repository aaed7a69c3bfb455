"""Who is calling: API keys and SMTP credentials, looked up by the digest of their secret.

The secret has 256 random bits, so one SHA-256 is as safe as a slow hash and 1,000 times cheaper.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from mta.tenants.models import ApiKey, Credential, SmtpCredential, Tenant, TenantStatus

ALL_SCOPES = ("send", "read", "manage")
#: Reaches beyond the key's tenant: suspend anything, drain sources. Only operators give it.
OPERATE = "operate"
#: last_used_at is written at most once in this time, so that a busy key costs no write a request.
USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who proved to act for a tenant."""

    tenant_id: int
    tenant_name: str
    credential_id: int
    scopes: frozenset[str]
    suspended: bool


def digest(secret: str) -> str:
    """Hex SHA-256, the only form in which a secret is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_api_key(tenant: Tenant, name: str = "", scopes: tuple[str, ...] = ALL_SCOPES,
                   expires_at: datetime | None = None) -> tuple[ApiKey, str]:  # fmt: skip
    """Make an API key; the token is returned this once and stored nowhere."""
    token = "mm_" + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        tenant=tenant, name=name, digest=digest(token), prefix=token[:9], scopes=list(scopes),
        expires_at=expires_at,
    )  # fmt: skip
    return key, token


def create_smtp_credential(
    tenant: Tenant, username: str, expires_at: datetime | None = None
) -> tuple[SmtpCredential, str]:
    """Make an SMTP credential; the password is returned this once and stored nowhere."""
    password = secrets.token_urlsafe(32)
    credential = SmtpCredential.objects.create(
        tenant=tenant, username=username, digest=digest(password), scopes=["send"],
        expires_at=expires_at,
    )  # fmt: skip
    return credential, password


def caller_by_api_key(token: str) -> Caller | None:
    """Whom the token belongs to; None when unknown, revoked or expired."""
    return caller(ApiKey.objects.filter(digest=digest(token)))


def caller_by_smtp(username: str, password: str) -> Caller | None:
    """Whom the credential belongs to; None when unknown, wrong, revoked or expired."""
    found = SmtpCredential.objects.filter(username=username)
    stored = found.values_list("digest", flat=True).first() or digest("")
    # Compared even for an unknown user, so that the time says nothing about who exists.
    if not hmac.compare_digest(stored, digest(password)):
        return None
    return caller(found)


def caller(found: QuerySet[Any]) -> Caller | None:
    now = timezone.now()
    valid = Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=now))
    credential: Credential | None = found.filter(valid).select_related("tenant").first()
    if credential is None:
        return None
    if credential.last_used_at is None or now - credential.last_used_at > USED_EVERY:
        type(credential)._default_manager.filter(pk=credential.pk).update(last_used_at=now)
    tenant = credential.tenant
    return Caller(
        tenant_id=tenant.pk,
        tenant_name=tenant.name,
        credential_id=credential.pk,
        scopes=frozenset(credential.scopes),
        suspended=tenant.status == TenantStatus.SUSPENDED,
    )
