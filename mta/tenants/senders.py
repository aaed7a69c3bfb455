"""What a tenant may write as sender, and on which stream."""

from __future__ import annotations

from dataclasses import dataclass

from mta.tenants.models import SendingDomain, Stream, TenantStatus


class StreamUnknown(LookupError):
    """The tenant has no stream of that name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"There is no stream named {name!r}; create it in the admin first.")


@dataclass(frozen=True, slots=True)
class Owner:
    """The tenant behind a sending domain."""

    tenant_id: int
    tenant_name: str
    suspended: bool


def sender_domains(tenant_id: int) -> frozenset[str]:
    """A-labels that the tenant may send as."""
    return frozenset(
        SendingDomain.objects.filter(tenant_id=tenant_id).values_list("domain", flat=True)
    )


def owner_of(domain: str) -> Owner | None:
    """The tenant that may send as `domain` (an A-label)."""
    found = SendingDomain.objects.filter(domain=domain).select_related("tenant").first()
    if found is None:
        return None
    tenant = found.tenant
    return Owner(tenant.pk, tenant.name, tenant.status == TenantStatus.SUSPENDED)


def stream_for(tenant_id: int, name: str = "") -> Stream:
    """The named stream, or the tenant's default; StreamUnknown when there is none."""
    streams = Stream.objects.filter(tenant_id=tenant_id)
    found = streams.filter(name=name).first() if name else streams.filter(is_default=True).first()
    if found is None:
        raise StreamUnknown(name or "default")
    return found
