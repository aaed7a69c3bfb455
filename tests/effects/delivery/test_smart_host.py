"""Mail that leaves through a smart host: real AUTH and STARTTLS, and a log-in that fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from django.db import connection

from mta.delivery import smart_hosts
from mta.delivery.batch import Batch
from mta.egress.models import Source
from mta.events.models import Decision
from tests.cast import Cast
from tests.effects.delivery.worker import Worker
from tests.effects.relay import NAME, PASSWORD, USER, Relay
from tests.state.spool import desk

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def relay(authority: trustme.CA) -> Iterator[Relay]:
    with Relay(authority) as running:
        yield running


def source(relay: Relay, **values: Any) -> Source:
    fields = {
        "name": "relay", "kind": "smart_host", "host": NAME, "port": relay.port,
        "username": USER, "password": PASSWORD.encode(),
    }  # fmt: skip
    made: Source = Source.objects.create(**(fields | values))
    return made


def batch(cast: Cast, worker: Worker, through: Source, *to: str, **values: Any) -> Batch:
    desk.injected(cast, *(to or ("a@x.test", "b@x.test")))
    fields = {
        "site": through.host, "hosts": ((through.host, ("127.0.0.1",)),), "tls": through.tls,
        "source_id": through.pk, "source_name": through.name, "port": through.port,
    }  # fmt: skip
    return worker.batch(cast, "x.test", [], **(fields | values))


def test_a_batch_leaves_through_the_relay(cast: Cast, worker: Worker, relay: Relay) -> None:
    worker.connector.on_login_refused = smart_hosts.login_refused
    given = batch(cast, worker, source(relay))
    assert PASSWORD not in json.dumps(given.to_json())
    done = worker.sent(given)
    assert {(o.stage, o.code, o.mx_host, bool(o.tls)) for o in done.outcomes} == {
        ("dot", 250, NAME, True)
    }
    assert sorted(relay.taken) == [(USER, "a@x.test"), (USER, "b@x.test")]
    assert relay.logins == [("PLAIN", True)]
    assert not Decision.objects.exists()


def test_a_refused_log_in_is_temporary_and_the_operator_is_told_once(
    cast: Cast, worker: Worker, relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    worker.connector.on_login_refused = smart_hosts.login_refused
    through = source(relay, password=b"wrong")
    for _ in range(2):
        done = worker.sent(batch(cast, worker, through))
        assert {(o.kind, o.stage, o.code) for o in done.outcomes} == {("", "connect", 0)}
        assert {o.reply for o in done.outcomes} == {
            f"{NAME}: the smart host refused the log-in: 535 5.7.8 "
            "Authentication credentials invalid"
        }
    (decision,) = Decision.objects.all()
    assert (decision.kind, decision.source, decision.site) == ("login_failed", "relay", NAME)
    assert "535 5.7.8" in decision.reason
    assert relay.taken == []
    assert "wrong" not in caplog.text + decision.reason + decision.data


def test_no_password_goes_to_a_relay_without_tls(
    cast: Cast, worker: Worker, authority: trustme.CA
) -> None:
    with Relay(authority, tls_context=None, auth_require_tls=False) as relay:
        done = worker.sent(batch(cast, worker, source(relay, tls="none")))
        assert relay.logins == []
        (said,) = {o.reply for o in done.outcomes}
        assert "never sent in the clear" in said


def test_a_relay_without_a_log_in(cast: Cast, worker: Worker, authority: trustme.CA) -> None:
    with Relay(authority, auth_required=False) as relay:
        worker.sent(batch(cast, worker, source(relay, username="", password=None)))
        assert len(relay.taken) == 2
        assert relay.logins == []


def test_a_changed_password_is_used_at_the_next_connection(
    cast: Cast, worker: Worker, relay: Relay
) -> None:
    through = source(relay, password=b"wrong")
    worker.sent(batch(cast, worker, through))
    Source.objects.filter(pk=through.pk).update(password=PASSWORD.encode())
    smart_hosts.forget()
    worker.sent(batch(cast, worker, through))
    assert [right for _, right in relay.logins] == [False, True]


def test_mail_to_receivers_is_never_logged_in(cast: Cast, worker: Worker, relay: Relay) -> None:
    source(relay)
    addresses = worker.world.add_site("x.test")
    desk.injected(cast, "a@x.test")
    worker.sent(worker.batch(cast, "x.test", addresses))
    assert worker.connector.logins == {}
    assert worker.world.times_accepted() == {"a@x.test": 1}


def test_a_password_of_another_key_is_like_a_wrong_one(
    cast: Cast, worker: Worker, relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    through = source(relay)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE egress_source SET password = %s WHERE id = %s", [b"x" * 40, through.pk]
        )
    done = worker.sent(batch(cast, worker, through))
    assert {o.stage for o in done.outcomes} == {"connect"}
    assert relay.logins == [("PLAIN", False)]
    assert "the password of source relay was encrypted with another secret key" in caplog.text
