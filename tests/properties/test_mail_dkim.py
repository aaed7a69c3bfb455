"""Whatever we sign, dkimpy verifies, one or many; blanks changed on the way do not matter."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mta.mail import dkim
from mta.mail.headers import fields
from mta.mail.relaxed import SIGNED, signed_fields
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


_MESSAGE = st.tuples(
    st.one_of(_heads(), st.just(b"Subject: without a From\r\n"), st.just(b"")),
    _BODY,
    st.lists(st.sampled_from(cast()[:2]), max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(given=st.lists(_MESSAGE, max_size=20))
def test_many_are_signed_as_one_is(given: list[tuple[bytes, bytes, list[dkim.SigningKey]]]) -> None:
    messages = [(head + b"\r\n" + body, keys) for head, body, keys in given]
    expected: list[bytes | None] = []
    for wire, keys in messages:
        try:
            expected.append(dkim.sign(wire, keys, now=7))
        except ValueError:
            expected.append(None)
    assert dkim.sign_many(messages, now=7) == expected


def _plainly(head: bytes) -> list[bytes]:
    """Relaxed fields by the letter of RFC 6376 3.4.2, in the order of 5.4.2."""
    out = []
    for name, whole in reversed(fields(head)):
        if name in SIGNED:
            value = b" ".join(whole.partition(b":")[2].replace(b"\t", b" ").split())
            out.append(name + b":" + value + b"\r\n")
    return out


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(
        st.builds(
            lambda name, blank, value: name + blank + b":" + value,
            st.sampled_from([b"From", b"to", b"SUBJECT", b"X-Own", b"Cc", b"", b" From", b"a b"]),
            st.sampled_from([b"", b" ", b" \t"]),
            st.lists(
                st.sampled_from([b"\r\n ", b"\r\n\t", b" ", b"\t", b":", b"word", b"\xc3\xa9"])
            ).map(b"".join),
        )
    )
)
def test_fields_are_canonicalised_by_the_letter(rows: list[bytes]) -> None:
    head = b"".join(row + b"\r\n" for row in [*rows, b"From: someone@example.org"])
    listed, canonical = signed_fields(head)
    expected = _plainly(head)
    assert canonical == b"".join(expected)
    names = [row.partition(b":")[0] for row in expected]
    assert listed.replace(b"\r\n\t", b"") == b":".join([*names, b"from"])
