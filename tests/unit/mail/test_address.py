"""Reading addresses: what is taken, what is refused, and the one normal form."""

import pytest

from mta.mail.address import (
    Address,
    AddressError,
    normalise_domain,
    parse_address,
    parse_mailbox,
    parse_mailbox_list,
)


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("a@b.org", "a", "b.org"),
        ("A.b+c=d@EXAMPLE.org", "A.b+c=d", "example.org"),
        ("root@localhost", "root", "localhost"),
        ('"a b"@x.org', "a b", "x.org"),
        (r'"a\"\\@b"@x.org', r'a"\@b', "x.org"),
        ('"plain"@x.org', "plain", "x.org"),
        ("用户@例え.jp", "用户", "xn--r8jz45g.jp"),
        ("a@Straße.de", "a", "xn--strae-oqa.de"),
        ("a@XN--R8JZ45G.jp", "a", "xn--r8jz45g.jp"),
        ("a@[127.0.0.1]", "a", "[127.0.0.1]"),
        ("a@[ipv6:0:0::1]", "a", "[IPv6:::1]"),
        ("a" * 64 + "@x.org", "a" * 64, "x.org"),
    ],
)
def test_address_is_read(text: str, local: str, domain: str) -> None:
    address = parse_address(text)
    assert (address.local, address.domain) == (local, domain)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "@b.org", "a@", "a@@b.org", "a b@x.org", ".a@x.org", "a.@x.org", "a..b@x.org",
        "a@-x.org", "a@x-.org", "a@x..org", "a@x.org.", "a@x_y.org", "a@" + "x" * 64 + ".org",
        "a" * 65 + "@x.org", "a@" + ".".join(["x" * 60] * 5), "é" * 33 + "@x.org", '""@x.org',
        '"a"b"@x.org', '"a@x.org', "a@1.2.3.4", "a@[1.2.3]", "a@[IPv6:fe80::1%eth0]", "a@[1.2.3.4",
        "a@1.2.3.4]", "a\r\nb@x.org", "a@x.org\r\n", "a\0@x.org", '"a\nb"@x.org', "a\x85b@x.org",
        "a\u2028b@x.org", "a\u00a0b@x.org", "a\ud800@x.org", "a@xn--a.org", "a@ex\u200bample..org",
        "<a@x.org>", "a@x.org,b@x.org", "a@x .org", "a@" + "é" * 300,
    ],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert caught.value.reason


def test_total_length_is_limited() -> None:
    domain = ".".join(["x" * 61] * 3) + ".org"  # 189 octets
    assert parse_address("a" * 64 + "@" + domain)
    with pytest.raises(AddressError):
        parse_address("a" * 64 + "@x." + domain)


def test_only_a_non_ascii_local_part_needs_smtputf8() -> None:
    assert parse_address("é@x.org").needs_smtputf8
    assert not parse_address("e@é.org").needs_smtputf8


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("a@b.org", "", Address("a", "b.org")),
        ("<a@b.org>", "", Address("a", "b.org")),
        (" Ann Lee <a@b.org> ", "Ann Lee", Address("a", "b.org")),
        ('"Lee, \\"Ann\\"" <a@b.org>', 'Lee, "Ann"', Address("a", "b.org")),
        ("Lee, Ann (sales) <a@b.org>", "Lee, Ann (sales)", Address("a", "b.org")),
        ("Zoë <é@b.org>", "Zoë", Address("é", "b.org")),
        ('"a b"@c.org', "", Address("a b", "c.org")),
    ],
)
def test_mailbox_is_read(text: str, name: str, address: Address) -> None:
    assert parse_mailbox(text) == (name, address)


@pytest.mark.parametrize(
    "text",
    ["Ann", "Ann <>", "Ann a@b.org>", "<a@b.org> <c@d.org>", 'An"n <a@b.org>',
     "Ann\r\nBcc: x@y.org <a@b.org>", '"Ann\n" <a@b.org>', "Ann <a@b.org", "Ann\0 <a@b.org>"],
)  # fmt: skip
def test_other_mailboxes_are_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_mailbox(text)


def test_list_is_split_outside_quotes_and_comments() -> None:
    text = '"Lee, Ann" <a@b.org>, (x, (y) \\) z) c@d.org (Carl), "e,f"@g.org,'
    assert [str(item) for item in parse_mailbox_list(text)] == ["a@b.org", "c@d.org", '"e,f"@g.org']


@pytest.mark.parametrize(
    "text", ["group: a@b.org;", 'a@b.org "', "(a@b.org", "a@b.org)", "a, b@c.org"]
)
def test_ambiguous_lists_are_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_mailbox_list(text)


def test_domain_has_one_normal_form() -> None:
    assert normalise_domain("BÜCHER.example.") == "xn--bcher-kva.example"
    for bad in ("", ".", "a..b", "a b", "☃☃.\ud800", "[127.0.0.1]", "a\nb.org"):
        with pytest.raises(AddressError):
            normalise_domain(bad)
