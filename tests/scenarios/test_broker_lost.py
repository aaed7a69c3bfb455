"""Redis loses everything while 1,000 recipients are under way: the database knows them all."""

from tests.scenarios.stack import Stack
from tests.services.processes import wait_until


def test_flush_with_a_thousand_in_flight_loses_nothing(stack: Stack) -> None:
    stack.world.add_site("sink.load.test", "accept")
    to = [f"user{number}@sink.load.test" for number in range(1000)]
    # Without the deliver worker all of it stands in the broker's queues.
    stack.start("dispatch", "resolve", "sign", "classify", "beat")
    stack.send(to)
    wait_until(
        lambda: stack.in_queues("deliver.") == 1000, 30, "a thousand await the deliver worker"
    )
    assert stack.states() == {"claimed": 1000}
    stack.redis().flushall()
    stack.start("deliver")
    assert stack.wait_settled(60) == {"delivered": 1000}
    times = stack.world.times_accepted()
    assert [address for address in to if times[address] != 1] == []


def test_flush_between_delivery_and_settlement_sends_nothing_twice(stack: Stack) -> None:
    """The deliver worker vouches for what it handed on: it settles what the broker lost."""
    stack.world.add_site("sink.load.test", "accept")
    to = [f"user{number}@sink.load.test" for number in range(300)]
    stack.start("dispatch", "resolve", "sign", "deliver", "beat")
    stack.send(to)
    stack.world.wait_for_recipients(to, 30)
    wait_until(lambda: stack.in_queues("classify") == 300, 10, "all await classify")
    stack.redis().flushall()
    assert stack.wait_settled(60) == {"delivered": 300}
    assert set(stack.world.times_accepted().values()) == {1}


def test_valkey_killed_and_restarted(stack: Stack) -> None:
    stack.world.add_site("sink.load.test", "accept")
    stack.start()
    to = [f"user{number}@sink.load.test" for number in range(2000)]
    stack.send(to)
    stack.world.wait_for(lambda got: len(got) > 200, 30, "some accepted")
    port = stack.valkey.port
    stack.valkey.kill()
    stack.valkey = type(stack.valkey)(stack.folder / "valkey", append_only=True, port=port)
    stack.valkey.wait_ready()
    assert stack.wait_settled(90) == {"delivered": 2000}
    times = stack.world.times_accepted()
    assert [address for address in to if times[address] == 0] == []
