"""Whatever we sign, dkimpy verifies; blanks changed on the way do not matter."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mta.mail import dkim
from tests.unit.mail.dkim_judge import cast, verdicts

# Octets that a wire form may hold, blanks and line ends often.
_PIECE = st.one_of(
    st.sampled_from(
        [b"\r\n", b" ", b"\t", b"\r\n\r\n", b"  ", b".", b":", b";", b"b=", b"From: x"]
    ),
    st.binary(max_size=8).map(lambda raw: raw.translate(None, b"\r\n\0")),
)
_BODY = st.lists(_PIECE, max_size=30).map(b"".join).map(lambda body: body + b"\r\n")
_NAMES = ("From", "to", "SUBJECT", "Date", "Cc", "X-Other", "List-Unsubscribe", "Content-Type")
_WORD = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["C", "Z"]))
_FOLD = st.sampled_from([" ", "  ", "\t", "\r\n ", "\r\n\t ", " \r\n  "])


# No blank before the colon (RFC 5322 4.5.8): dkimpy does not find such fields.
@st.composite
def _heads(draw: st.DrawFn) -> bytes:
    rows = ["From: someone@example.org"]
    for _ in range(draw(st.integers(0, 8))):
        words = draw(st.lists(st.tuples(_FOLD, _WORD.filter(bool)), max_size=4))
        rows.append(f"{draw(st.sampled_from(_NAMES))}:" + "".join(map("".join, words)))
    return "".join(f"{row}\r\n" for row in draw(st.permutations(rows))).encode()


@settings(max_examples=200, deadline=None)
@given(head=_heads(), body=_BODY)
def test_every_signature_verifies(head: bytes, body: bytes) -> None:
    wire = head + b"\r\n" + body
    field = dkim.sign(wire, cast()[:2], now=1_780_000_000)
    assert verdicts(field + wire)[:2] == [True, True]


@settings(max_examples=100, deadline=None)
@given(body=_BODY)
def test_relaxed_hash_ignores_what_relays_do_to_blanks(body: bytes) -> None:
    relayed = body.replace(b"\t", b" \t").replace(b"\r\n", b"  \r\n") + b"\r\n\r\n"
    assert dkim.body_hash(relayed) == dkim.body_hash(body)
