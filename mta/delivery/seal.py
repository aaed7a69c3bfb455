"""Sign: every active key of the sending domain signs what deliver will send, byte for byte."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from django.db.models import Q
from django.utils import timezone

from mta.delivery.batch import Batch
from mta.mail.dkim import SigningKey, load_key, sign_many
from mta.mail.template import TemplateError
from mta.spool.load import load_many
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


def seal(batches: Sequence[Batch]) -> list[Batch]:
    """The batches with the signature fields of each recipient that will be sent."""
    wanted = [batch for batch in batches if batch.path is not None]
    loaded = load_many([batch.token for batch in wanted]) if wanted else {}
    work: dict[object, tuple[bytes, tuple[SigningKey, ...]]] = {}
    places: dict[int, object] = {}
    for batch in wanted:
        decided = batch.decided()
        for one in loaded.get(batch.token, ()):
            # Who gets the same bytes gets the same signature.
            place: object = one.digest if one.shared else one.recipient_id
            if one.recipient_id not in decided:
                places[one.recipient_id] = place
                if place not in work and (keys := keys_for(one.sender_domain)):
                    with suppress(TemplateError):  # deliver will find that it does not render
                        work[place] = (one.wire(), keys)
    signed = sign_many(list(work.values()), now=int(time.time()))
    fields = {place: one.decode("ascii") for place, one in zip(work, signed, strict=True) if one}
    return [
        batch if batch.path is None else replace(
            batch, signatures=tuple(
                fields.get(places.get(rid), "") for rid in batch.recipient_ids
            )
        )
        for batch in batches
    ]  # fmt: skip
