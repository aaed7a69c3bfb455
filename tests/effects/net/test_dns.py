"""Routes found by asking a real DNS server on loopback."""

import asyncio
import random
from typing import Any

import dns.rcode
import pytest

from mta.net.dns import MxHost, ResolveError, Resolver, Route
from tests.effects.net.names import Names


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def resolver(*servers: Names, **changes) -> Resolver:
    values: dict[str, Any] = {"timeout": 2.0, "rng": random.Random(1)}
    return Resolver([names.server for names in servers], **(values | changes))


def order(route: Route) -> list[str]:
    return [host.name for host in route.hosts]


async def error(resolver: Resolver, domain: str) -> tuple[bool, int, str]:
    with pytest.raises(ResolveError) as failure:
        await resolver.route(domain)
    assert failure.value.text
    return failure.value.permanent, failure.value.code, failure.value.enhanced


def test_hosts_come_by_preference_and_equal_ones_in_changing_order(run):
    async def scenario():
        records = {
            "example.test MX": ["20 last.test.", "10 a.test.", "10 b.test.", "5 first.test."],
            "first.test A": ["192.0.2.1"],
            "a.test A": ["192.0.2.2"],
            "b.test A": ["192.0.2.3"],
            "last.test A": ["192.0.2.4", "192.0.2.5"],
            "last.test AAAA": ["2001:db8::4"],
        }
        async with Names(records) as names:
            asking = resolver(names)
            routes = [await asking.route("Example.TEST.") for _ in range(40)]
            orders = {tuple(order(route)) for route in routes}
            assert orders == {
                ("first.test", "a.test", "b.test", "last.test"),
                ("first.test", "b.test", "a.test", "last.test"),
            }
            assert routes[0].hosts[0] == MxHost("first.test", 5, ("192.0.2.1",))
            addresses = {route.hosts[3].addresses for route in routes}
            assert addresses == {
                ("192.0.2.4", "192.0.2.5", "2001:db8::4"),
                ("192.0.2.5", "192.0.2.4", "2001:db8::4"),
            }
            assert names.asked["example.test MX"] == 1

    run(scenario)


def test_without_mx_the_domains_own_address_is_used(run):
    async def scenario():
        async with Names({"a.test A": ["192.0.2.1"], "six.test AAAA": ["2001:db8::1"]}) as names:
            asking = resolver(names)
            assert (await asking.route("a.test")).hosts == (MxHost("a.test", 0, ("192.0.2.1",)),)
            assert (await asking.route("six.test")).hosts[0].addresses == ("2001:db8::1",)
            only4 = resolver(names, ipv6=False)
            assert await error(only4, "six.test") == (True, 550, "5.1.2")
            assert (await only4.route("a.test")).hosts[0].addresses == ("192.0.2.1",)
            assert names.asked["a.test AAAA"] == 1

    run(scenario)


@pytest.mark.parametrize("follows", [True, False], ids=["whole chain", "one link at a time"])
def test_aliases_are_followed(run, follows):
    async def scenario():
        records = {
            "alias.test CNAME": ["real.test."],
            "real.test MX": ["10 mx-alias.test."],
            "mx-alias.test CNAME": ["mx.test."],
            "mx.test A": ["192.0.2.1"],
            "loop.test CNAME": ["loop2.test."],
            "loop2.test CNAME": ["loop.test."],
            "dangling.test CNAME": ["nothing.test."],
        }
        async with Names(records, follows=follows) as names:
            asking = resolver(names)
            route = await asking.route("alias.test")
            assert route.hosts == (MxHost("mx-alias.test", 10, ("192.0.2.1",)),)
            assert (await error(asking, "loop.test"))[1:] == (451, "4.4.3")
            assert await error(asking, "dangling.test") == (True, 550, "5.1.2")

    run(scenario)


def test_what_is_final(run):
    async def scenario():
        records = {
            "null.test MX": ["0 ."],
            "empty.test TXT": ["hello"],
            "lost.test MX": ["10 nowhere.test.", "20 empty.test."],
        }
        async with Names(records) as names:
            asking = resolver(names)
            assert await error(asking, "null.test") == (True, 556, "5.1.10")
            assert await error(asking, "missing.test") == (True, 550, "5.1.2")
            assert await error(asking, "empty.test") == (True, 550, "5.1.2")
            assert await error(asking, "lost.test") == (True, 550, "5.1.2")
            asked = names.asked.total()
            for domain in ("x" * 64 + ".test", "a..test", ".", "", "[192.0.2.256]", "[x]"):
                assert await error(asking, domain) == (True, 550, "5.1.2"), domain
            assert names.asked.total() == asked

    run(scenario)


def test_a_null_mx_beside_others_is_no_host(run):
    async def scenario():
        records = {"odd.test MX": ["0 .", "10 mx.test."], "mx.test A": ["192.0.2.1"]}
        async with Names(records) as names:
            assert order(await resolver(names).route("odd.test")) == ["mx.test"]

    run(scenario)


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_a_failed_look_up_is_temporary_and_soon_tried_again(run, rcode):
    async def scenario():
        clock = Clock()
        async with Names({"a.test A": ["192.0.2.1"]}, failing={"a.test MX": rcode}) as names:
            asking = resolver(names, clock=clock)
            assert await error(asking, "a.test") == (False, 451, "4.4.3")
            names.failing.clear()
            assert await error(asking, "a.test") == (False, 451, "4.4.3")
            clock.now += 16
            assert order(await asking.route("a.test")) == ["a.test"]

    run(scenario)


def test_no_address_because_of_a_failure_is_temporary(run):
    async def scenario():
        records = {"a.test MX": ["10 mx.test.", "20 mx2.test."], "mx2.test TXT": ["no address"]}
        async with Names(records, failing={"mx.test": dns.rcode.SERVFAIL}) as names:
            asking = resolver(names)
            assert await error(asking, "a.test") == (False, 451, "4.4.3")

    run(scenario)


def test_one_failing_host_does_not_hide_the_others_but_the_route_is_short_lived(run):
    async def scenario():
        clock = Clock()
        records = {"a.test MX": ["10 mx.test.", "20 mx2.test."], "mx2.test A": ["192.0.2.2"]}
        async with Names(records, failing={"mx.test": dns.rcode.SERVFAIL}) as names:
            route = await resolver(names, clock=clock).route("a.test")
            assert order(route) == ["mx2.test"]
            assert route.expires_at == clock.now + 15

    run(scenario)


def test_answers_live_as_long_as_their_ttl(run):
    async def scenario():
        clock = Clock()
        records = {"a.test MX": ["10 mx.test."], "mx.test A": ["192.0.2.1"]}
        async with Names(records, ttl=120) as names:
            asking = resolver(names, clock=clock, ipv6=False)
            assert (await asking.route("a.test")).expires_at == clock.now + 120
            names.records["mx.test A"] = ["192.0.2.9"]
            clock.now += 119
            assert (await asking.route("a.test")).hosts[0].addresses == ("192.0.2.1",)
            clock.now += 2
            assert (await asking.route("a.test")).hosts[0].addresses == ("192.0.2.9",)
            assert names.asked["a.test MX"] == 2

    run(scenario)


def test_what_is_known_needs_no_loop_and_ends_with_its_time(run):
    clock = Clock()

    async def scenario():
        async with Names({"a.test A": ["192.0.2.1"]}, ttl=100) as names:
            asking = resolver(names, clock=clock, ipv6=False)
            assert asking.known("a.test") is None
            route = await asking.route("a.test")
            await error(asking, "none.test")
            assert await asyncio.to_thread(asking.known, "A.test.") == route
            with pytest.raises(ResolveError) as failure:
                asking.known("none.test")
            assert (failure.value.permanent, failure.value.code) == (True, 550)
            with pytest.raises(ResolveError):
                asking.known("[300.1.1.1]")
            clock.now += 101
            assert asking.known("a.test") is None

    run(scenario)


def test_negative_answers_live_as_long_as_the_soa_says(run):
    async def scenario():
        clock = Clock()
        async with Names(negative_ttl=30) as names:
            asking = resolver(names, clock=clock)
            for _ in range(3):
                assert await error(asking, "new.test") == (True, 550, "5.1.2")
            assert names.asked.total() == 1
            names.records["new.test A"] = ["192.0.2.1"]
            clock.now += 31
            assert order(await asking.route("new.test")) == ["new.test"]

    run(scenario)


def test_ttls_of_zero_and_of_years_are_bounded(run):
    async def scenario():
        clock = Clock()
        records = {"a.test MX": ["10 mx.test."], "mx.test A": ["192.0.2.1"]}
        for ttl, kept in ((0, 5), (10**8, 86_400)):
            async with Names(records, ttl=ttl) as names:
                route = await resolver(names, clock=clock, ipv6=False).route("a.test")
                assert route.expires_at == clock.now + kept

    run(scenario)


def test_a_truncated_answer_is_asked_again_over_tcp(run):
    async def scenario():
        records = {f"mx{i}.test A": [f"192.0.2.{i}"] for i in range(1, 30)}
        records["many.test MX"] = [f"{i} mx{i}.test." for i in range(1, 30)]
        async with Names(records, truncates=True) as names:
            route = await resolver(names).route("many.test")
            assert order(route) == [f"mx{i}.test" for i in range(1, 11)]
            assert names.transports["tcp"] == names.transports["udp"] > 0

    run(scenario)


def test_the_next_server_is_asked_when_one_is_silent_and_it_stays_first(run):
    async def scenario():
        records = {"a.test A": ["192.0.2.1"], "b.test A": ["192.0.2.2"]}
        async with Names(silent=True) as dead, Names(records) as alive:
            asking = resolver(dead, alive, timeout=0.3)
            assert order(await asking.route("a.test")) == ["a.test"]
            asked = dead.asked.total()
            assert asked > 0
            assert order(await asking.route("b.test")) == ["b.test"]
            assert dead.asked.total() == asked

    run(scenario)


def test_the_next_server_is_asked_when_one_fails_or_is_not_there(run):
    async def scenario():
        records = {"a.test A": ["192.0.2.1"]}
        failing = {"a.test": dns.rcode.SERVFAIL}
        async with Names(failing=failing) as sick, Names(records) as well:
            async with Names() as gone:
                pass
            asking = resolver(gone, sick, well, timeout=0.3)
            assert order(await asking.route("a.test")) == ["a.test"]

    run(scenario)


def test_all_servers_silent_is_temporary(run):
    async def scenario():
        async with Names(silent=True) as one, Names(silent=True) as two:
            assert await error(resolver(one, two, timeout=0.1), "a.test") == (False, 451, "4.4.3")

    run(scenario)


def test_look_ups_of_one_domain_at_one_time_are_joined(run):
    async def scenario():
        records = {"a.test MX": ["10 mx.test."], "mx.test A": ["192.0.2.1"]}
        async with Names(records) as names:
            names.gate = asyncio.Event()
            asking = resolver(names, timeout=10)
            waiting = [asyncio.ensure_future(asking.route("a.test")) for _ in range(20)]
            while not names.asked:
                await asyncio.sleep(0)
            waiting[0].cancel()
            names.gate.set()
            with pytest.raises(asyncio.CancelledError):
                await waiting[0]
            routes = await asyncio.gather(*waiting[1:])
            assert {tuple(order(route)) for route in routes} == {("mx.test",)}
            assert set(names.asked.values()) == {1}

    run(scenario)


def test_the_cache_is_bounded_and_keeps_what_was_used_last(run):
    async def scenario():
        records = {f"d{i}.test A": ["192.0.2.1"] for i in range(5)}
        async with Names(records) as names:
            asking = resolver(names, cache_size=3, ipv6=False)
            for i in (0, 1, 2, 0, 3, 4, 0):
                await asking.route(f"d{i}.test")
            assert names.asked["d0.test MX"] == 1
            await asking.route("d1.test")
            assert names.asked["d1.test MX"] == 2

    run(scenario)


def test_address_literals_need_no_look_up(run):
    async def scenario():
        asking = Resolver([("127.0.0.1", 9)])
        four = await asking.route("[127.0.0.1]")
        assert four.hosts == (MxHost("[127.0.0.1]", 0, ("127.0.0.1",)),)
        six = await asking.route("[IPv6:2001:db8::1]")
        assert six.hosts[0].addresses == ("2001:db8::1",)

    run(scenario)


async def host_error(resolver: Resolver, host: str) -> ResolveError:
    with pytest.raises(ResolveError) as failure:
        await resolver.host_route(host)
    return failure.value


def test_a_host_is_found_by_its_own_addresses_without_mx(run):
    async def scenario():
        records = {
            "relay.test MX": ["10 mx.test."],
            "relay.test A": ["192.0.2.1"],
            "relay.test AAAA": ["2001:db8::1"],
        }
        async with Names(records) as names:
            asking = resolver(names)
            assert asking.known_host("relay.test") is None
            route = await asking.host_route("Relay.TEST.")
            assert route.hosts == (MxHost("relay.test", 0, ("192.0.2.1", "2001:db8::1")),)
            assert asking.known_host("relay.test") == route
            assert asking.known("relay.test") is None
            assert names.asked["relay.test MX"] == 0

    run(scenario)


@pytest.mark.parametrize("host", ["192.0.2.7", "[192.0.2.7]"])
def test_a_host_may_be_an_address(run, host):
    async def scenario():
        asking = resolver()
        route = await asking.host_route(host)
        assert route.hosts == (MxHost("[192.0.2.7]", 0, ("192.0.2.7",)),)
        assert asking.known_host(host) is not None
        assert (await asking.host_route("2001:db8::7")).hosts[0].addresses == ("2001:db8::7",)

    run(scenario)


def test_what_is_wrong_with_a_host_is_never_permanent(run):
    async def scenario():
        async with Names({"empty.test TXT": ["x"]}, failing={"bad.test": dns.rcode.SERVFAIL}) as n:
            asking = resolver(n)
            for host, said in [
                ("empty.test", "empty.test has no address"),
                ("none.test", "none.test has no address"),
                ("bad.test", "DNS of bad.test: "),
                ("a..b", "a..b is not a host name"),
            ]:
                error = await host_error(asking, host)
                assert (error.permanent, error.code) == (False, 451)
                assert error.text.startswith(said), error.text

    run(scenario)
