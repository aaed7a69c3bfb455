"""A receiver says "not now" and later takes the mail: it is delivered, once, with its history."""

from tests.scenarios.stack import Stack


def test_full_mailbox_greylisting_and_busy_server_end_in_delivery(stack: Stack) -> None:
    to = ["user1@full.demo.test", "user1@greylist.demo.test", "user1@busy.demo.test"]
    stack.start()
    stack.send(to)
    assert stack.wait_settled(90) == {"delivered": 3}
    assert [stack.world.times_accepted()[address] for address in to] == [1, 1, 1]
    history = stack.sql(
        "SELECT a.outcome FROM spool_attempt a JOIN spool_recipient r ON r.id = a.recipient_id "
        "WHERE r.address = 'user1@full.demo.test' ORDER BY a.number"
    )
    assert history == [["deferred"], ["deferred"], ["delivered"]]


def test_a_connection_lost_in_data_is_tried_again(stack: Stack) -> None:
    stack.start()
    stack.send(["user1@drops.demo.test", "user2@drops.demo.test"])
    assert stack.wait_settled(90) == {"delivered": 2}
    assert set(stack.world.times_accepted().values()) == {1}
