"""The name server answers as real resolvers do."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest

from tests.effects.world.sender import mx_addresses, resolver
from tests.world.cast import EXTRAS, ROLES
from tests.world.client import World


def ask(world: World, name: str, type_: str, *, tcp: bool = False) -> dns.message.Message:
    host, _, port = world.dns.rpartition(":")
    query = dns.message.make_query(name, type_)
    how = dns.query.tcp if tcp else dns.query.udp
    return how(query, host, timeout=5, port=int(port))


@pytest.mark.parametrize("role", [r for r in ROLES + EXTRAS if len(r.records) > 1])
def test_every_receiver_is_found_by_its_mx(world, role):
    assert mx_addresses(world, role.domain) == [host.address for host in role.hosts]


def test_preference_orders_the_hosts(world):
    answer = resolver(world).resolve("firstdead.demo.test", "MX")
    found = sorted((r.preference, r.exchange.to_text()) for r in answer)
    assert found == [(10, "mx1.firstdead.demo.test."), (20, "mx2.firstdead.demo.test.")]


def test_a_name_without_mx_has_an_address_and_an_empty_answer_with_soa(world):
    answer = ask(world, "nomx.demo.test", "MX")
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])
    assert answer.authority[0].ttl == 60
    assert resolver(world).resolve("nomx.demo.test", "A")[0].address == "127.77.7.1"


def test_null_mx(world):
    record = resolver(world).resolve("nullmx.demo.test", "MX")[0]
    assert (record.preference, record.exchange.to_text()) == (0, ".")


def test_nxdomain(world):
    answer = ask(world, "nxdomain.demo.test", "MX")
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert answer.authority[0].rdtype == dns.rdatatype.SOA


def test_a_name_above_records_exists(world):
    assert ask(world, "demo.test", "MX").rcode() == dns.rcode.NOERROR


def test_servfail(world):
    assert ask(world, "servfail.demo.test", "MX").rcode() == dns.rcode.SERVFAIL


def test_silence(world):
    impatient = resolver(world)
    impatient.lifetime = 0.2
    with pytest.raises(dns.resolver.LifetimeTimeout):
        impatient.resolve("nodns.demo.test", "MX")
    assert world.queries("nodns.demo.test", "MX") >= 1


def test_cname_is_followed_in_the_answer(world):
    answer = ask(world, "alias.demo.test", "MX")
    assert [rrset.rdtype for rrset in answer.answer] == [dns.rdatatype.CNAME, dns.rdatatype.MX]


def test_records_are_set_and_removed_while_it_runs(world):
    key = "v=DKIM1; k=rsa; p=" + "A" * 600
    world.set_records("s1._domainkey.tenant.test", "TXT", key, ttl=7)
    answer = ask(world, "s1._domainkey.tenant.test", "TXT").answer[0]
    assert b"".join(answer[0].strings).decode() == key
    assert answer.ttl == 7
    world.set_records("s1._domainkey.tenant.test", "TXT")
    assert ask(world, "s1._domainkey.tenant.test", "TXT").rcode() == dns.rcode.NXDOMAIN


def test_a_wildcard_answers_for_names_below(world):
    world.set_records("*.many.test", "MX", "10 mx1.sink.demo.test")
    assert mx_addresses(world, "a.b.many.test") == ["127.77.20.1"]
    assert ask(world, "many.test", "MX").answer == []


def test_ipv6_addresses(world):
    world.set_records("six.test", "AAAA", "::1")
    assert resolver(world).resolve("six.test", "AAAA")[0].address == "::1"


def test_a_long_answer_comes_truncated_by_udp_and_whole_by_tcp(world):
    world.set_records("big.test", "TXT", *(f"{n} " + "x" * 200 for n in range(20)))
    short = ask(world, "big.test", "TXT")
    assert short.flags & dns.flags.TC
    assert len(ask(world, "big.test", "TXT", tcp=True).answer[0]) == 20


def test_questions_are_counted(world):
    for _ in range(3):
        ask(world, "Accepts.Demo.Test", "MX")
    assert world.queries("accepts.demo.test", "MX") == 3
    assert world.queries("accepts.demo.test", "A") == 0
