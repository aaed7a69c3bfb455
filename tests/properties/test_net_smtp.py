"""Whatever a peer does, each message has one true outcome, and at most one is in doubt."""

import asyncio
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mta.net.smtp import Connection, Outcome
from mta.net.smtp_envelope import Envelope, Offer, Transaction, prepare
from tests.effects.net.peers import CLOSE, Peer, message

REFUSALS = ["550 5.1.1 no", "451 4.3.0 later", "421 4.3.2 closing"]
ODDITIES: list[Any] = [CLOSE, b"?\r\n", b"250 ok\r\n250 ok\r\n", b"550-a\r\n550 b\r\n"]
GOOD = {"MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go", "dot": "250 ok"}

conduct = st.fixed_dictionaries(
    {
        verb: st.sampled_from([good] * 6 + REFUSALS + ODDITIES + ["250 sure", "354 go"])
        for verb, good in GOOD.items()
    }
)


class Moody(Peer):
    """Treats each message as its script says; knows which contents it said 250 to."""

    def follow(self, script: list[dict[str, Any]]) -> None:
        self.script = script
        self.current = -1
        self.accepted: list[int] = []
        self.answers = {verb: self.react(verb) for verb in GOOD}

    def react(self, verb: str):
        def react(argument: str) -> Any:
            if verb == "MAIL":
                self.current = int(argument.partition("<b")[2].partition("@")[0])
            said = self.script[self.current][verb]
            if verb == "dot":
                if self.contents[-1] != content(self.current):
                    assert self.contents[-1] == b"", "content of another message"
                    return "554 5.5.1 no valid recipients"
                if isinstance(said, str | bytes) and said[:1] in ("2", b"2"):
                    self.accepted.append(self.current)
            return said

        return react


def content(key: int) -> bytes:
    return b"Subject: %d\r\n\r\n.hello\r\n" % key


async def deliver(script: list[dict[str, Any]], pipelining: bool) -> tuple[Moody, list[Outcome]]:
    peer = Moody(extensions=("PIPELINING",) if pipelining else ())
    peer.follow(script)
    async with peer:
        outcomes: list[Outcome] = []
        connection = await Connection.open(peer.target())
        await connection.deliver(
            [
                message(key, content(key), reverse_path=f"b{key}@sender.test")
                for key in range(len(script))
            ],
            outcomes.append,
        )
        await connection.quit()
        return peer, outcomes


@settings(max_examples=150, deadline=None)
@given(script=st.lists(conduct, min_size=1, max_size=6), pipelining=st.booleans())
@example(script=[GOOD | {"RCPT": "550 no"}, GOOD], pipelining=True)
@example(script=[GOOD | {"dot": CLOSE}, GOOD], pipelining=True)
@example(script=[GOOD | {"DATA": b"250 ok\r\n250 ok\r\n"}, GOOD], pipelining=True)
def test_every_message_has_one_true_outcome(script, pipelining):
    peer, outcomes = asyncio.run(deliver(script, pipelining))
    assert [o.key for o in outcomes] == list(range(len(script)))
    received = [key for key in range(len(script)) if content(key) in peer.contents]
    doubtful = [o.key for o in outcomes if o.stage == "dot" and o.reply is None]
    delivered = [o.key for o in outcomes if o.delivered]
    assert len(doubtful) <= 1
    assert set(delivered) <= set(peer.accepted) <= {*delivered, *doubtful}
    for outcome in outcomes:
        assert outcome.attempted or outcome.key not in received
        assert (outcome.reply is None) == bool(outcome.error)
        if outcome.key in received:
            assert outcome.stage == "dot"
    assert len(peer.contents) == len(set(peer.contents) - {b""}) + peer.contents.count(b"")


@settings(max_examples=300)
@given(
    reverse_path=st.text(max_size=20),
    forward_path=st.text(max_size=20),
    options=st.lists(st.text(max_size=10), max_size=2),
)
def test_a_transaction_is_two_lines_on_the_wire_or_none(reverse_path, forward_path, options):
    offer = Offer(frozenset({"SMTPUTF8", "8BITMIME", "DSN"}))
    item = prepare(
        Transaction(
            1, reverse_path, forward_path, b"x\r\n", mail_options=(*options,), rcpt_options=()
        ),
        offer,
    )
    if isinstance(item, Envelope):
        for line in (item.mail, item.rcpt):
            assert line.endswith(b"\r\n")
            assert not any(octet < 32 or octet == 127 for octet in line[:-2])
