"""The SMTP door with the database behind it."""

from __future__ import annotations

import json
import threading

import pytest
from django.db import Error, connection

from mta.egress.provision import provision
from mta.mail.address import parse_address
from mta.mail.smtp_events import EnvelopeRecipient
from mta.mail.smtp_message import Instructions
from mta.smtpd import database_door
from mta.smtpd.database_door import DatabaseDoor
from mta.smtpd.door import Door
from mta.smtpd.submission import Caller, Submission
from mta.spool import quota
from mta.spool.models import Message, Recipient
from mta.tenants.models import Stream, TenantStatus

pytestmark = pytest.mark.django_db

CONTENT = b"From: a@shop.example\r\nSubject: x\r\n\r\nBody\r\n"


@pytest.fixture
def door() -> Door:
    return DatabaseDoor()


@pytest.fixture
def shop(db):
    return provision("shop", ["shop.example"])


def submission(made, door, **values) -> Submission:
    fields = {
        "message_id": door.new_id(),
        "tenant_id": made.tenant.pk,
        "stream_id": door.stream_id(made.tenant.pk, ""),
        "reverse_path": "a@shop.example",
        "sender_domain": "shop.example",
        "content": CONTENT,
        "recipients": [EnvelopeRecipient(parse_address("b@remote.example"), "NEVER", "rfc822;B")],
        "subject": "x",
        "instructions": Instructions("", "spring", ("a", "b"), {"order": 7}),
        "smtputf8": True,
        "envid": "QQ+3D1",
        "ret": "HDRS",
    }
    return Submission(**(fields | values))


def test_a_credential_leads_to_its_tenant(door, shop):
    caller = door.authenticate(shop.smtp_username, shop.smtp_password)
    assert caller == Caller(shop.tenant.pk, "shop", suspended=False, may_send=True)
    assert door.authenticate(shop.smtp_username, "wrong") is None
    assert door.authenticate("nobody", shop.smtp_password) is None


def test_a_suspended_tenant_is_known_as_such(door, shop):
    shop.tenant.status = TenantStatus.SUSPENDED
    shop.tenant.save()
    assert door.authenticate(shop.smtp_username, shop.smtp_password).suspended
    assert door.caller_for_domain("shop.example").suspended


def test_a_domain_leads_to_its_tenant(door, shop):
    assert door.caller_for_domain("shop.example") == Caller(shop.tenant.pk, "shop")
    assert door.caller_for_domain("sub.shop.example") is None


def test_only_a_quota_that_refuses_is_counted(door, shop):
    def caller(**values):
        type(shop.tenant).objects.update(**values)
        quota._known.clear()
        return door.caller_for_domain("shop.example")

    assert not caller(quota_per_hour=2).counted
    assert caller(quota_action="reject").counted
    assert door.authenticate(shop.smtp_username, shop.smtp_password).counted
    assert not caller(quota_per_hour=None).counted


def test_streams_by_name(door, shop):
    default = Stream.objects.get(tenant=shop.tenant, is_default=True)
    assert door.stream_id(shop.tenant.pk, "") == default.pk
    assert door.stream_id(shop.tenant.pk, "bulk") != default.pk
    assert door.stream_id(shop.tenant.pk, "none") is None


def test_what_was_handed_in_is_in_the_spool(door, shop):
    handed_in = submission(shop, door)
    door.store([handed_in])
    message = Message.objects.get(pk=handed_in.message_id)
    assert message.origin == "smtp"
    assert (message.envid, message.ret, message.smtputf8) == ("QQ+3D1", "HDRS", True)
    assert (message.campaign, json.loads(message.tags)) == ("spring", ["a", "b"])
    assert json.loads(message.metadata) == {"order": 7}
    recipient = Recipient.objects.get(message=message)
    assert (recipient.address, recipient.notify, recipient.orcpt) == (
        "b@remote.example", "NEVER", "rfc822;B",
    )  # fmt: skip


def test_a_group_is_stored_whole_or_not_at_all(door, shop):
    good = submission(shop, door)
    bad = submission(shop, door, stream_id=10**9)
    with pytest.raises(Stream.DoesNotExist):
        door.store([good, bad])
    assert Message.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_it_works_from_threads(door, shop):
    """Look-ups and the storekeeper run in threads with connections of their own."""
    outcome = []

    def work() -> None:
        try:
            door.store([submission(shop, door)])
            outcome.append(door.authenticate(shop.smtp_username, shop.smtp_password))
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert outcome[0].tenant_name == "shop"
    assert Message.objects.count() == 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's connections do not die")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rested", [True, False])
def test_a_lost_connection_costs_one_answer_at_most(door, shop, rested):
    outcome = []

    def store() -> str:
        try:
            door.store([submission(shop, door)])
        except Error as error:
            return type(error).__name__
        return "stored"

    def work() -> None:
        try:
            outcome.append(store())
            connection.connection.pgconn.finish()  # as when the server was started anew
            if rested:
                database_door.thread.used_at -= 60
            outcome.extend([store(), store()])
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    assert outcome == ["stored", "stored" if rested else "OperationalError", "stored"]
