"""A new tenant can send at once, and wrong input changes nothing."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.management import CommandError, call_command

from mta.egress.models import Pool, Source
from mta.egress.provision import ProvisionError, add_dkim_key, add_domain, dns_records, provision
from mta.tenants.credentials import caller_by_api_key, caller_by_smtp
from mta.tenants.models import DkimKey, SendingDomain, Tenant
from mta.tenants.senders import sender_domains, stream_for

pytestmark = pytest.mark.django_db


def test_a_new_tenant_can_send_at_once() -> None:
    made = provision("shop", ["Shop.Example.", "bücher.example"])
    tenant = made.tenant.pk
    assert sender_domains(tenant) == {"shop.example", "xn--bcher-kva.example"}
    assert stream_for(tenant).name == "transactional"
    assert stream_for(tenant, "bulk").pool.members.count() == 1
    by_key = caller_by_api_key(made.api_key)
    by_smtp = caller_by_smtp(made.smtp_username, made.smtp_password)
    assert by_key is not None
    assert by_smtp is not None
    assert by_key.tenant_id == by_smtp.tenant_id == tenant
    assert by_key.scopes == {"send", "read", "manage"}
    assert by_smtp.scopes == {"send"}


def test_each_domain_has_an_rsa_2048_and_an_ed25519_key() -> None:
    provision("shop", ["shop.example"])
    keys = {key.algorithm: key for key in DkimKey.objects.all()}
    rsa = load_pem_private_key(keys["rsa-sha256"].private_key, None)
    assert isinstance(rsa, RSAPrivateKey)
    assert rsa.key_size == 2048
    ed = load_pem_private_key(keys["ed25519-sha256"].private_key, None)
    assert isinstance(ed, Ed25519PrivateKey)
    assert keys["rsa-sha256"].dns_record.startswith("v=DKIM1; k=rsa; p=")


def test_records_name_dkim_spf_and_dmarc() -> None:
    made = provision("shop", ["shop.example"])
    Source.objects.update(address="192.0.2.7")
    records = {(r.purpose, r.name): r.value for r in dns_records(SendingDomain.objects.get())}
    assert records["spf", "shop.example"] == "v=spf1 ip4:192.0.2.7 ~all"
    assert records["dmarc", "_dmarc.shop.example"].startswith("v=DMARC1; p=none;")
    assert {name for purpose, name in records if purpose == "dkim"} == {
        "mm1._domainkey.shop.example",
        "mm1e._domainkey.shop.example",
    }
    assert len(made.dns_records) == 4


@pytest.mark.parametrize(
    ("name", "domains", "field"),
    [
        ("Shop", [], "name"),
        ("", [], "name"),
        ("-shop", [], "name"),
        ("shop\n", [], "name"),
        ("s" * 64, [], "name"),
        ("shop", ["not a domain"], "domain"),
        ("shop", ["a@shop.example"], "domain"),
        ("shop", ["taken.example"], "domain"),
        ("taken", [], "name"),
    ],
)
def test_wrong_input_is_named_and_changes_nothing(
    name: str, domains: list[str], field: str
) -> None:
    provision("taken", ["taken.example"])
    with pytest.raises(ProvisionError) as caught:
        provision(name, ["fine.example", *domains])
    assert caught.value.field == field
    assert Tenant.objects.count() == 1
    assert SendingDomain.objects.count() == 1


def test_a_new_tenant_never_gets_the_pool_of_another() -> None:
    Pool.objects.create(name="default", tenant=Tenant.objects.create(name="owner"))
    with pytest.raises(ProvisionError, match="belongs to tenant owner"):
        provision("shop")
    assert not Tenant.objects.filter(name="shop").exists()


def test_keys_are_renewed_under_the_next_selector() -> None:
    sending, _ = add_domain(provision("shop").tenant, "shop.example")
    assert add_dkim_key(sending, "rsa-sha256").selector == "mm2"
    with pytest.raises(ProvisionError, match="give another"):
        add_dkim_key(sending, "rsa-sha256", "mm2")
    with pytest.raises(ProvisionError, match="Algorithm"):
        add_dkim_key(sending, "rsa-sha1")


def test_command_prints_secrets_and_records_once() -> None:
    out = StringIO()
    call_command("create_tenant", "shop", "--domain", "shop.example", "--json", stdout=out)
    made = json.loads(out.getvalue())
    assert caller_by_api_key(made["api_key"]) is not None
    assert {record["purpose"] for record in made["dns_records"]} == {"dkim", "spf", "dmarc"}
    text = StringIO()
    call_command("create_tenant", "other", "--domain", "other.example", stdout=text)
    assert "mm1._domainkey.other.example. IN TXT" in text.getvalue()
    # RFC 1035 3.3: an RSA key is longer than one character string.
    assert '" "' in text.getvalue()


def test_create_dkim_names_an_unknown_domain() -> None:
    with pytest.raises(CommandError, match="add it first"):
        call_command("create_dkim", "shop.example")
    provision("shop", ["shop.example"])
    out = StringIO()
    call_command("create_dkim", "shop.example", "--selector", "s9", "--json", stdout=out)
    assert json.loads(out.getvalue())["name"] == "s9._domainkey.shop.example"
