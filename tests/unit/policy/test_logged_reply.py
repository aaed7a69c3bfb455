"""Replies as people paste them."""

import pytest

from mta.mail.reply import Reply
from mta.policy.logged_reply import read_logged_reply


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("550 5.1.1 no such user", Reply(550, "5.1.1", "no such user")),
        ("550-5.1.1 no such user", Reply(550, "5.1.1", "no such user")),
        ("550-5.1.1 no\n550 5.1.1 such", Reply(550, "5.1.1", "no such")),
        ("550-5.1.1 no\\r\\n550 5.1.1 such", Reply(550, "5.1.1", "no such")),
        ("550-5.1.1 no 550-5.1.1 such 550 5.1.1 user", Reply(550, "5.1.1", "no such user")),
        ("host mx[192.0.2.1] said: 450 4.2.0 later", Reply(450, "4.2.0", "later")),
        ("smtp; 552 full", Reply(552, "", "full")),
        ("connection reset", Reply(0, "", "connection reset")),
        ("  ", Reply(0, "", "")),
        ("421", Reply(421, "", "")),
    ],
)
def test_forms(text: str, reply: Reply) -> None:
    assert read_logged_reply(text) == reply
