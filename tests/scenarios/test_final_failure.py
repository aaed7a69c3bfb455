"""A receiver says no: the recipient bounces, the sender gets a DSN, a bad address is suppressed."""

from tests.scenarios.stack import Stack


def test_bounces_are_told_and_remembered(stack: Stack) -> None:
    stack.start()
    sender = "sender@accepts.demo.test"
    stack.send(
        ["user1@nobody.demo.test", "user1@block.demo.test", "user1@nxdomain.demo.test"],
        reverse_path=sender,
    )
    assert stack.wait_settled() == {"bounced": 3}
    classes = dict(
        stack.sql("SELECT address, bounce_class FROM spool_recipient WHERE state = 'bounced'")
    )
    assert classes == {
        "user1@nobody.demo.test": "bad_mailbox",
        "user1@block.demo.test": "reputation",
        "user1@nxdomain.demo.test": "bad_domain",
    }
    # A block says nothing about the address; an unknown user does.
    assert stack.sql("SELECT address FROM suppression_suppression") == [["user1@nobody.demo.test"]]
    told = stack.world.wait_for(lambda got: len(got) == 3, 30, "a DSN for each failed batch")
    reports = [stack.world.content(one.number).decode() for one in told]
    assert all(one.recipient == sender for one in told)
    assert all("Content-Type: multipart/report" in report for report in reports)
    assert sum("Final-Recipient: rfc822; user1@block.demo.test" in r for r in reports) == 1
    # A DSN has a null reverse path, so there is never a DSN for a DSN.
    assert stack.sql("SELECT DISTINCT reverse_path FROM spool_message WHERE origin = 'dsn'") == [
        [""]
    ]


def test_a_suppressed_address_is_not_written_to(stack: Stack) -> None:
    stack.start()
    stack.send(["user1@nobody.demo.test"])
    stack.wait_settled()
    stack.world.set_behaviour("nobody.demo.test", "accept")
    stack.send(["User1@nobody.demo.test", "user2@nobody.demo.test"])
    assert stack.wait_settled() == {"bounced": 1, "suppressed": 1, "delivered": 1}
    assert dict(stack.world.times_accepted()) == {"user2@nobody.demo.test": 1}
