"""Makes a tenant that can send at once: streams, pool, source, domains, keys and credentials.

Rule 1: all of it or nothing: one transaction.
Rule 2: secrets are returned this once; the database keeps digests and encrypted keys.
Rule 3: a tenant starts on the shared pool `default`; an operator gives it its own later.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from mta.egress.models import Pool, PoolMember, Source
from mta.mail import dkim
from mta.mail.address import AddressError, normalise_domain
from mta.tenants.credentials import create_api_key, create_smtp_credential
from mta.tenants.models import (
    NAME,
    DkimAlgorithm,
    DkimKey,
    SendingDomain,
    SmtpCredential,
    Stream,
    StreamKind,
    Tenant,
)

DEFAULT_POOL = "default"
#: Selector prefix per algorithm: mm1 and mm1e, then mm2 and mm2e when keys are renewed.
SELECTOR_SUFFIX = {DkimAlgorithm.RSA.value: "", DkimAlgorithm.ED25519.value: "e"}


class ProvisionError(ValueError):
    """What was asked for cannot be made; `field` names the input, the text says the fix."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


class DomainTaken(ProvisionError):
    """Somebody sends as this domain already."""

    def __init__(self, domain: str) -> None:
        super().__init__("domain", f"{domain!r} is a sending domain already: give another domain.")


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """One TXT record to publish; `purpose` is dkim, spf or dmarc."""

    purpose: str
    name: str
    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A new tenant and the secrets that are shown this once."""

    tenant: Tenant
    api_key: str
    smtp_username: str
    smtp_password: str
    dns_records: tuple[DnsRecord, ...]


def provision(name: str, domains: Sequence[str] = ()) -> Provisioned:
    """Make tenant `name` with sending domains; ProvisionError names the field and the fix."""
    check_name(name, "name")
    wanted = list(dict.fromkeys(normal_domain(domain) for domain in domains))
    if Tenant.objects.filter(name=name).exists():
        raise ProvisionError("name", f"Tenant {name!r} exists already: choose another name.")
    keys = {domain: new_keys() for domain in wanted}
    with transaction.atomic():
        tenant = Tenant.objects.create(name=name)
        pool = default_pool()
        for kind in (StreamKind.TRANSACTIONAL, StreamKind.BULK):
            Stream.objects.create(
                tenant=tenant,
                name=kind.value,
                kind=kind,
                pool=pool,
                is_default=kind == StreamKind.TRANSACTIONAL,
            )
        domains_made = [store_domain(tenant, domain, keys[domain]) for domain in wanted]
        records = [record for sending in domains_made for record in dns_records(sending)]
        _, api_key = create_api_key(tenant, name="first")
        username = free_username(name)
        _, password = create_smtp_credential(tenant, username)
    return Provisioned(tenant, api_key, username, password, tuple(records))


def default_pool() -> Pool:
    """The shared pool, made at first use with one source that leaves from any local address."""
    pool, _ = Pool.objects.get_or_create(name=DEFAULT_POOL, defaults={"tenant": None})
    if pool.tenant is not None:
        raise ProvisionError(
            "pool",
            f"Pool {DEFAULT_POOL!r} belongs to tenant {pool.tenant.name}: rename it, or make it "
            "shared, so that new tenants have a pool.",
        )
    if not pool.members.exists():
        source, _ = Source.objects.get_or_create(name=DEFAULT_POOL)
        PoolMember.objects.get_or_create(pool=pool, source=source)
    return pool


def add_domain(tenant: Tenant, domain: str) -> tuple[SendingDomain, list[DnsRecord]]:
    """Let the tenant send as `domain`, with an RSA and an Ed25519 key; ProvisionError."""
    domain = normal_domain(domain)
    if SendingDomain.objects.filter(domain=domain).exists():
        raise DomainTaken(domain)
    sending = store_domain(tenant, domain, new_keys())
    return sending, dns_records(sending)


def new_keys() -> dict[str, bytes]:
    """A PEM per algorithm. Made before a transaction: RSA takes 0.1 s, SQLite has one writer."""
    return {algorithm: dkim.generate(algorithm) for algorithm in DkimAlgorithm.values}


def store_domain(tenant: Tenant, domain: str, keys: Mapping[str, bytes]) -> SendingDomain:
    """The domain with its first keys; DomainTaken when somebody has it."""
    try:
        with transaction.atomic():
            sending = SendingDomain.objects.create(tenant=tenant, domain=domain)
            for algorithm, pem in keys.items():
                store_key(sending, algorithm, f"mm1{SELECTOR_SUFFIX[algorithm]}", pem)
    except IntegrityError:  # another process added it between look and insert
        raise DomainTaken(domain) from None
    return sending


def add_dkim_key(sending: SendingDomain, algorithm: str, selector: str = "") -> DkimKey:
    """Make a signing key; without a selector the next free one is taken. ProvisionError."""
    if algorithm not in DkimAlgorithm.values:
        wanted = " or ".join(DkimAlgorithm.values)
        raise ProvisionError("algorithm", f"Algorithm {algorithm!r} is unknown: give {wanted}.")
    used = set(sending.dkim_keys.values_list("selector", flat=True))
    if not selector:
        number = 1
        while (selector := f"mm{number}{SELECTOR_SUFFIX[algorithm]}") in used:
            number += 1
    check_name(selector, "selector")
    if selector in used:
        raise ProvisionError(
            "selector", f"{sending.domain} has a key with selector {selector!r}: give another."
        )
    return store_key(sending, algorithm, selector, dkim.generate(algorithm))


def store_key(sending: SendingDomain, algorithm: str, selector: str, pem: bytes) -> DkimKey:
    return DkimKey.objects.create(
        sending_domain=sending,
        selector=selector,
        algorithm=algorithm,
        private_key=pem,
        dns_record=dkim.dns_record(pem),
    )


def dns_records(sending: SendingDomain) -> list[DnsRecord]:
    """What to publish: the key of every selector, and a suggestion for SPF and DMARC."""
    domain = sending.domain
    records = [dkim_record(domain, key) for key in sending.dkim_keys.all()]
    records.append(DnsRecord("spf", domain, "TXT", spf_value(sending.tenant)))
    dmarc = f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"
    records.append(DnsRecord("dmarc", f"_dmarc.{domain}", "TXT", dmarc))
    return records


def dkim_record(domain: str, key: DkimKey) -> DnsRecord:
    return DnsRecord("dkim", f"{key.selector}._domainkey.{domain}", "TXT", key.dns_record)


def spf_value(tenant: Tenant) -> str:
    """An SPF policy (RFC 7208) that names the addresses the tenant's streams leave from."""
    found = Source.objects.filter(pools__streams__tenant=tenant).distinct()
    return f"v=spf1 {' '.join(spf_terms(found.values_list('address', flat=True)))} ~all"


def spf_terms(addresses: Iterable[str | None]) -> list[str]:
    """One mechanism per address; a source without address leaves as the host itself."""
    terms = set()
    for address in addresses:
        if address is None:
            terms.add(f"a:{settings.MAILMILL.hostname}")
        else:
            terms.add(f"ip6:{address}" if ":" in address else f"ip4:{address}")
    return sorted(terms) or [f"a:{settings.MAILMILL.hostname}"]


def check_name(name: str, field: str) -> None:
    """ProvisionError unless `name` has 1 to 63 lower-case letters, digits and hyphens."""
    try:
        NAME(name)
    except ValidationError:
        name_ok = False
    else:
        name_ok = len(name) <= 63 and name.isprintable()
    if not name_ok:
        raise ProvisionError(
            field,
            f"{name[:80]!r} is no {field}: use 1 to 63 lower-case letters, digits and hyphens, "
            "the first one no hyphen.",
        )


def normal_domain(domain: str) -> str:
    try:
        return normalise_domain(domain.strip())
    except AddressError as error:
        raise ProvisionError(
            "domain",
            f"{domain[:80]!r} is no domain ({error.reason}): give one such as shop.example.",
        ) from None


def free_username(name: str) -> str:
    """The tenant's name, or one like it when an SMTP credential took that."""
    username = name
    while SmtpCredential.objects.filter(username=username).exists():
        username = f"{name[:56]}-{secrets.token_hex(3)}"
    return username
