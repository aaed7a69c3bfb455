"""All mail of a stream leaves through a relay that wants TLS and a password."""

from __future__ import annotations

from collections.abc import Callable

from tests.scenarios.stack import Stack
from tests.services.processes import wait_until
from tests.world.client import World

FAR = [f"far{number}.test" for number in range(4)]


def test_a_stream_leaves_through_a_relay(make_stack: Callable[..., Stack], world: World) -> None:
    stack = make_stack(MAILMILL_CA_FILE=str(world.ca_file))
    world.add_site("relay.test", tls="required", auth="mill:top secret", also=["*"])
    for domain in FAR:
        world.add_site(domain)
    stack.ask(
        "source", name="cloud", pool="cloud", kind="smart_host", host="mx1.relay.test",
        port=world.smtp_port, username="mill", password="wrong",
    )  # fmt: skip
    stack.ask("set_stream", name="bulk", pool="cloud")
    stack.start()
    stack.send([f"u{n}@{FAR[n % 4]}" for n in range(20)])
    wait_until(
        lambda: world.site("relay.test").refusals.get("auth 535"), 30,
        lambda: f"refused {stack.states()}\n{stack.logs()}",
    )  # fmt: skip
    assert set(stack.states()) <= {"scheduled", "claimed", "deferred"}, "our password, our trouble"
    assert not world.accepted()
    stack.ask("set_source", name="cloud", password="top secret")
    stack.send([f"now{n}@{FAR[n]}" for n in range(4)], stream="transactional")
    # A person who mends the log-in need not wait for the next try.
    stack.manage("throttles", "--all")
    assert stack.wait_settled(40) == {"delivered": 24}
    relayed = [one for one in world.accepted() if one.recipient.startswith("u")]
    (address,) = {one.mx_address for one in relayed}
    assert len(relayed) == 20
    assert all(one.tls for one in relayed)
    direct = [one for one in world.accepted() if one.recipient.startswith("now")]
    assert len({one.mx_address for one in direct} - {address}) == 4
    assert "top secret" not in stack.logs()
