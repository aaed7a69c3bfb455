"""Site names and providers from MX hosts."""

import pytest

from mta.policy.site import LIMIT, provider_of, site_name

PROVIDERS = {
    "outlook": ("olc.protection.outlook.com",),
    "office365": ("mail.protection.outlook.com", "mx.microsoft"),
    "wide": ("outlook.com",),
}


@pytest.mark.parametrize(
    ("hosts", "name"),
    [
        (["mx.example.net"], "mx.example.net"),
        (["MX.Example.NET."], "mx.example.net"),
        (["alt2.aspmx.l.google.com", "alt1.aspmx.l.google.com"], "(alt1|alt2).aspmx.l.google.com"),
        (["aspmx.l.google.com", "alt1.aspmx.l.google.com"], "(alt1)?.aspmx.l.google.com"),
        (["a.b.example.net", "c.example.net"], "(a.b|c).example.net"),
        (["mx.example.net", "mx.example.org"], "(mx.example.net|mx.example.org)"),
        (["mx.example.net", "mx.example.net"], "mx.example.net"),
    ],
)
def test_roll_up(hosts: list[str], name: str) -> None:
    assert site_name(hosts) == name
    assert site_name(hosts[::-1]) == name


def test_long_names_are_cut_and_stay_apart() -> None:
    hosts = [f"mx{number}.mail.example.net" for number in range(100)]
    name, other = site_name(hosts), site_name(hosts[:-1])
    assert len(name) == len(other) == LIMIT
    assert name != other


def test_no_host_no_site() -> None:
    with pytest.raises(ValueError, match="at least one"):
        site_name([])


@pytest.mark.parametrize(
    ("hosts", "provider"),
    [
        (["eur.olc.protection.outlook.com"], "outlook"),
        (["x.mail.protection.outlook.com."], "office365"),
        (["a.outlook.com"], "wide"),
        (["notoutlook.com"], ""),
        (["x.mx.microsoft", "mx.example.net"], ""),
        ([], ""),
    ],
)
def test_provider(hosts: list[str], provider: str) -> None:
    assert provider_of(hosts, PROVIDERS) == provider
