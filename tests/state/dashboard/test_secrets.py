"""A secret is made by the admin, shown once, and stored only as a digest or encrypted."""

from __future__ import annotations

import re

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.db import connection
from django.test import Client
from django.urls import reverse

from mta.events.models import WebhookEndpoint
from mta.tenants.credentials import caller_by_api_key, caller_by_smtp
from mta.tenants.models import ApiKey, DkimKey, SendingDomain, SmtpCredential
from tests.cast import Cast

SHOWN = re.compile(r"<code class='mm-secret'>([^<]+)</code>")


def add(client: Client, table: str, **values: object) -> str:
    """Add a row; the text of the page that follows."""
    answer = client.post(reverse(f"admin:{table}_add"), values, follow=True)
    assert answer.redirect_chain, answer.content.decode()
    return answer.content.decode()


def shown_once(client: Client, table: str, text: str) -> str:
    (secret,) = SHOWN.findall(text)
    again = client.get(reverse(f"admin:{table}_changelist")).content.decode()
    assert secret not in again
    return str(secret)


def test_an_api_key_works_and_is_shown_once(acme: Cast, as_operator: Client) -> None:
    text = add(as_operator, "tenants_apikey", tenant=acme.tenant.pk, name="shop", scopes=["send"])
    token = shown_once(as_operator, "tenants_apikey", text)
    caller = caller_by_api_key(token)
    assert caller is not None
    assert caller.tenant_id == acme.tenant.pk
    assert caller.scopes == {"send"}
    key = ApiKey.objects.get()
    change = as_operator.get(reverse("admin:tenants_apikey_change", args=[key.pk]))
    assert token not in change.content.decode()
    assert key.digest not in change.content.decode()


def test_an_smtp_password_works_and_is_shown_once(acme: Cast, as_operator: Client) -> None:
    text = add(
        as_operator, "tenants_smtpcredential", tenant=acme.tenant.pk, username="erp", name="ERP"
    )
    password = shown_once(as_operator, "tenants_smtpcredential", text)
    assert caller_by_smtp("erp", password) is not None
    assert SmtpCredential.objects.get().name == "ERP"


def test_revoked_keys_are_refused(acme: Cast, as_operator: Client) -> None:
    text = add(as_operator, "tenants_apikey", tenant=acme.tenant.pk, scopes=["send"])
    token = shown_once(as_operator, "tenants_apikey", text)
    chosen = {"action": "revoke", "_selected_action": [ApiKey.objects.get().pk]}
    answer = as_operator.post(reverse("admin:tenants_apikey_changelist"), chosen, follow=True)
    assert "1 revoked." in answer.content.decode()
    assert caller_by_api_key(token) is None


def test_renaming_a_key_does_not_change_it(acme: Cast, as_operator: Client) -> None:
    text = add(as_operator, "tenants_apikey", tenant=acme.tenant.pk, scopes=["send"])
    token = shown_once(as_operator, "tenants_apikey", text)
    key = ApiKey.objects.get()
    change = reverse("admin:tenants_apikey_change", args=[key.pk])
    answer = as_operator.post(change, {"name": "new name", "scopes": ["read"]}, follow=True)
    assert not SHOWN.findall(answer.content.decode())
    caller = caller_by_api_key(token)
    assert caller is not None
    assert caller.scopes == {"read"}


def test_a_webhook_secret_is_encrypted_and_shown_once(acme: Cast, as_operator: Client) -> None:
    text = add(
        as_operator, "events_webhookendpoint", tenant=acme.tenant.pk, url="https://x.test/hook",
        kinds=["delivery"], enabled="on",
    )  # fmt: skip
    secret = shown_once(as_operator, "events_webhookendpoint", text)
    row = WebhookEndpoint.objects.get()
    assert row.secret == secret.encode()
    assert row.kinds == ["delivery"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM events_webhookendpoint")
        ((stored,),) = cursor.fetchall()
    assert secret.encode() not in bytes(stored)


def test_a_dkim_key_is_made_and_only_its_record_is_shown(acme: Cast, as_operator: Client) -> None:
    domain = SendingDomain.objects.get(tenant=acme.tenant)
    for selector, algorithm in (("one", "rsa-sha256"), ("two", "ed25519-sha256")):
        add(
            as_operator, "tenants_dkimkey", sending_domain=domain.pk, selector=selector,
            algorithm=algorithm,
        )  # fmt: skip
        key = DkimKey.objects.get(selector=selector)
        private = bytes(key.private_key)
        assert load_pem_private_key(private, None)
        change = reverse("admin:tenants_dkimkey_change", args=[key.pk])
        text = as_operator.get(change).content.decode()
        assert f"{selector}._domainkey.acme.test" in text
        assert key.dns_record in text
        assert private.decode().splitlines()[1] not in text
        as_operator.post(change, {"selector": "other", "algorithm": "rsa-sha256"})
        key.refresh_from_db()
        assert (key.selector, bytes(key.private_key)) == (selector, private)
