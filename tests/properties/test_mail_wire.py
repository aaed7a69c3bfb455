"""Wire form, dot-stuffing and 7-bit encoding lose nothing; parsers take any bytes."""

from email import message_from_bytes

from hypothesis import example, given
from hypothesis import strategies as st

from mta.mail import headers, wire
from mta.mail.address import Address, AddressError, parse_address, parse_mailbox, parse_mailbox_list
from mta.mail.ids import decode, encode
from mta.mail.reply import ReplyError, ReplyParser

_RAW = st.lists(
    st.one_of(
        st.sampled_from(
            [b"\r\n", b"\n", b"\r", b".", b"\r\n.", b"--b", b": ", b"From ", b"\xc3\xa9"]
        ),
        st.binary(max_size=6),
    ),
    max_size=40,
).map(b"".join)
_CLEAN = _RAW.map(lambda raw: wire.to_wire(raw.replace(b"\0", b"")))


@given(_RAW)
def test_wire_form_is_clean_and_stable(raw: bytes) -> None:
    formed = wire.to_wire(raw)
    assert wire.to_wire(formed) == formed
    assert wire.check(formed.replace(b"\0", b"")) is None
    assert (wire.check(raw) is None) == (
        b"\0" not in raw and wire.to_wire(raw + b"\r\n") == raw + b"\r\n"
    )


@given(_CLEAN)
def test_the_receiver_gets_what_was_stuffed(content: bytes) -> None:
    sent = wire.dot_stuff(content) + b".\r\n"
    lines = sent.split(b"\r\n")
    assert lines.index(b".") == len(lines) - 2  # the end of data comes once, last
    received = b"".join(line.removeprefix(b".") + b"\r\n" for line in lines[:-2])
    assert received == content


@given(_CLEAN)
def test_split_and_fields_keep_every_byte(raw: bytes) -> None:
    head, body = headers.split(raw)
    assert raw in (head + b"\r\n" + body, head)
    assert b"".join(field for _, field in headers.fields(head)) == head
    headers.from_addresses(raw)


@given(_CLEAN, st.sampled_from([b"text/plain; charset=utf-8", b"application/x", b"image/png"]))
def test_seven_bit_form_decodes_to_the_same_bytes(body: bytes, kind: bytes) -> None:
    raw = b"MIME-Version: 1.0\r\nContent-Type: " + kind + b"\r\n\r\n" + body
    safe = wire.make_seven_bit_safe(raw)
    assert not wire.is_eight_bit(safe)
    assert wire.check(safe) is None
    assert wire.longest_line(safe) <= 998
    assert message_from_bytes(safe).get_payload(decode=True) == body


@given(st.binary(max_size=300), st.integers(1, 50))
@example(b"250-a\r\n250 b\r\n250 c\r\n", 1)
def test_replies_do_not_depend_on_how_bytes_arrive(data: bytes, size: int) -> None:
    def read(pieces: list[bytes]) -> list[str]:
        parser, out = ReplyParser(), []
        try:
            for piece in pieces:
                out += [str(reply) for reply in parser.feed(piece)]
        except ReplyError:
            out.append("error")
        return out

    whole = read([data])
    cut = read([data[start : start + size] for start in range(0, len(data), size)])
    # An error hides what came before it in the same piece, nothing else.
    assert cut == whole or (whole == ["error"] and cut[-1] == "error")


@given(st.text(max_size=80))
@example("a@b.org")
@example('"a\\"b" <"c d"@[127.0.0.1]>')
def test_addresses_are_read_or_refused_and_print_back(text: str) -> None:
    for parse in (parse_address, lambda given: parse_mailbox(given)[1], _first):
        try:
            address = parse(text)
        except AddressError:
            continue
        assert parse_address(str(address)) == address
        assert str(address).isprintable() or not address.local.isascii()
        assert not set(str(address)) & set("\r\n\0")


def _first(text: str) -> Address:
    found = parse_mailbox_list(text)
    if not found:
        raise AddressError("none")
    return found[0]


_LOCAL = st.text(
    st.characters(min_codepoint=32, exclude_categories=["C", "Z"]), min_size=1, max_size=15
)


@given(_LOCAL, st.sampled_from(["b.org", "例え.jp", "[IPv6:::1]"]))
def test_quoted_local_parts_come_back(local: str, domain: str) -> None:
    quoted = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
    address = parse_address(f"{quoted}@{domain}")
    assert address.local == local
    assert parse_address(str(address)) == address


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_ids_come_back_and_sort(first: int, second: int) -> None:
    assert decode(encode(first)) == first
    assert (encode(first) < encode(second)) == (first < second)
