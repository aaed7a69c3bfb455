"""Replies as servers send them, and bytes that are no replies."""

import pytest

from mta.mail.reply import MAX_LINES, MAX_TEXT, Reply, ReplyError, ReplyParser, parse_reply


@pytest.mark.parametrize(
    ("text", "code", "enhanced", "words"),
    [
        ("250 2.1.5 Ok", 250, "2.1.5", "Ok"),
        ("250", 250, "", ""),
        ("354 End data with <CR><LF>.<CR><LF>", 354, "", "End data with <CR><LF>.<CR><LF>"),
        ("550 5.1.1", 550, "5.1.1", ""),
        ("550 4.2.2 mailbox full", 550, "", "4.2.2 mailbox full"),
        ("550-5.1.1 no such user\r\n550 5.1.1 see https://x.org", 550, "5.1.1",
         "no such user see https://x.org"),
        ("421-4.7.0 slow\n421 down", 421, "4.7.0", "slow down"),
        ("451-first\n451 4.7.1 second", 451, "4.7.1", "first second"),
        ("550 5.1.1234 odd", 550, "", "5.1.1234 odd"),
        ("550 5.7.1\ttab\x07bell\x85", 550, "5.7.1", "tab?bell?"),
        ("550 Zugriff verweigert für käse", 550, "", "Zugriff verweigert für käse"),
    ],
)  # fmt: skip
def test_reply_is_read(text: str, code: int, enhanced: str, words: str) -> None:
    assert parse_reply(text) == Reply(code, enhanced, words)


def test_reply_prints_as_it_came() -> None:
    assert str(parse_reply("550-5.1.1 a\n550 5.1.1 b")) == "550 5.1.1 a b"
    assert str(parse_reply("250")) == "250"


@pytest.mark.parametrize(("code", "kind"), [(250, "p"), (354, "p"), (421, "t"), (550, "f")])
def test_reply_has_one_kind(code: int, kind: str) -> None:
    reply = Reply(code, "", "")
    assert (reply.is_positive, reply.is_temporary, reply.is_permanent) == tuple(
        kind == letter for letter in "ptf"
    )


def test_lines_are_kept_for_ehlo() -> None:
    reply = parse_reply("250-mx.example.org\r\n250-SIZE 1000\r\n250 PIPELINING")
    assert reply.lines == ("mx.example.org", "SIZE 1000", "PIPELINING")


def test_pipelined_replies_come_out_in_order_however_they_are_cut() -> None:
    data = b"250 2.1.0 Ok\r\n550-5.1.1 a\r\n550 5.1.1 b\r\n354 go\n250 done\r\n"
    whole = ReplyParser().feed(data)
    parser = ReplyParser()
    pieces = [reply for byte in data for reply in parser.feed(bytes([byte]))]
    assert pieces == whole
    assert [reply.code for reply in whole] == [250, 550, 354, 250]
    assert parser.is_idle
    parser.feed(b"250-more\r\n")
    assert not parser.is_idle


def test_latin_1_text_survives_as_replacement() -> None:
    assert ReplyParser().feed(b"550 caf\xe9\r\n")[0].text == "caf\ufffd"


@pytest.mark.parametrize(
    "data",
    [b"\r\n", b"hello\r\n", b"25 ok\r\n", b"250_ok\r\n", b"150 ok\r\n", b"650 ok\r\n",
     b"abc-x\r\n", b"2500 ok\r\n",
     b"250-a\r\n251 b\r\n", b"250-a\r\nhello\r\n", b"x" * 5000, b"250 " + b"x" * 5000 + b"\r\n",
     b"250-x\r\n" * (MAX_LINES + 1), b"+OK\r\n"],
)  # fmt: skip
def test_nonsense_is_an_error(data: bytes) -> None:
    with pytest.raises(ReplyError):
        ReplyParser().feed(data)


@pytest.mark.parametrize("text", ["", "250-half", "250 a\n250 b"])
def test_text_must_be_one_reply(text: str) -> None:
    with pytest.raises(ReplyError):
        parse_reply(text)


def test_text_is_bounded() -> None:
    data = b"".join(b"550-" + b"x" * 300 + b"\r\n" for _ in range(9)) + b"550 end\r\n"
    assert len(ReplyParser().feed(data)[0].text) == MAX_TEXT
