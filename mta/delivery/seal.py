"""Sign: every active key of the sending domain signs what deliver will send, byte for byte."""

from __future__ import annotations

import time
from dataclasses import replace

from django.db.models import Q
from django.utils import timezone

from mta.delivery.batch import Batch
from mta.mail.dkim import SigningKey, load_key, sign
from mta.mail.template import TemplateError
from mta.spool.load import Outgoing, load
from mta.tenants.models import DkimKey

#: A key that is added or retired in the admin acts within this many seconds.
KEEP_SECONDS = 5.0

_by_domain: dict[str, tuple[float, tuple[SigningKey, ...]]] = {}
_loaded: dict[int, SigningKey] = {}


def keys_for(domain: str) -> tuple[SigningKey, ...]:
    """The keys of `domain` whose window is open; () when it has none."""
    found = _by_domain.get(domain)
    if found is not None and found[0] > time.monotonic():
        return found[1]
    now = timezone.now()
    rows = DkimKey.objects.filter(
        Q(active_from__isnull=True) | Q(active_from__lte=now),
        Q(active_until__isnull=True) | Q(active_until__gt=now),
        sending_domain__domain=domain,
    ).order_by("-algorithm", "selector")
    keys = tuple(ready(row, domain) for row in rows)
    _by_domain[domain] = (time.monotonic() + KEEP_SECONDS, keys)
    return keys


def ready(row: DkimKey, domain: str) -> SigningKey:
    """The key in OpenSSL's form; parsing a PEM costs half an RSA signature, so once."""
    if row.pk not in _loaded:
        _loaded[row.pk] = load_key(domain, row.selector, row.algorithm, bytes(row.private_key))
    return _loaded[row.pk]


def signature_of(one: Outgoing, keys: tuple[SigningKey, ...], now: int) -> str:
    """The signature fields; "" without keys, and where deliver will find that nothing renders."""
    try:
        return sign(one.wire(), keys, now=now).decode("ascii") if keys else ""
    except TemplateError:
        return ""


def seal(batch: Batch) -> Batch:
    """The batch with the signature fields of each recipient that will be sent."""
    if batch.path is None:
        return batch
    now = int(time.time())
    decided = batch.decided()
    signatures: dict[int, str] = {}
    shared: dict[str, str] = {}
    for one in load(batch.token):
        if one.recipient_id in decided:
            continue
        keys = keys_for(one.sender_domain)
        known = shared.get(one.digest) if one.shared else None
        if known is None:
            known = signature_of(one, keys, now)
            if one.shared:
                shared[one.digest] = known
        signatures[one.recipient_id] = known
    return replace(batch, signatures=tuple(signatures.get(rid, "") for rid in batch.recipient_ids))
