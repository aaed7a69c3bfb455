"""Composed messages, read back with the standard library."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from mta.mail import wire
from mta.mail.compose import Attachment, Composer, Spec, TemplateError

AT = datetime(2026, 11, 21, 4, 5, 6, 789, tzinfo=UTC)
ID = "0123456789abc@mx.example"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def render(spec: Spec, to: str = "c@d.org", message_id: str = ID, **values: Any) -> bytes:
    raw = Composer(spec).render(to=to, substitutions=values, date=AT, message_id=message_id)
    assert wire.check(raw) is None
    assert wire.longest_line(raw) <= 998
    assert raw.endswith(b"\r\n")
    return raw


def read(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not any(part.defects for part in message.walk())
    return message


def text_of(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_plain_text() -> None:
    message = read(render(Spec("Ann <a@b.org>", "Hi {{ n }}", "Dear {{ n }}\n"), n="Bob"))
    assert message.keys() == [
        "Date", "Message-ID", "From", "To", "Subject", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding",
    ]  # fmt: skip
    assert message["Date"] == "Sat, 21 Nov 2026 04:05:06 +0000"
    assert message["Message-ID"] == f"<{ID}>"
    assert (message["From"], message["To"]) == ("Ann <a@b.org>", "c@d.org")
    assert message["Subject"] == "Hi Bob"
    assert message["Content-Transfer-Encoding"] == "7bit"
    assert text_of(message, "plain") == "Dear Bob\n"


FULL = Spec(
    from_="Zoë <zoe@b.org>",
    subject="Grüße, {{ name }}",
    text="Hallo {{ name }}\n.\nFrom here: " + "long " * 300 + "\n",
    html="<p>{{ name }}</p><img src='cid:logo@x'>\n",
    headers={"X-Campaign": "{{ name }}", "List-Unsubscribe": "<https://b.org/u?c={{ code }}>",
             "Cc": '"Lee, Ann" <ann@b.org>, Zoë <z@b.org>'},
    attachments=(
        Attachment("logo.png", "image/png", PNG, "logo@x"),
        Attachment("Übersicht 2026.pdf", "application/pdf", b"%PDF" * 100),
        Attachment("cal.ics", 'text/calendar; method="REQUEST"; charset=utf-8', "é\r\n".encode()),
        Attachment("empty.bin", "application/octet-stream", b""),
    ),
    reply_to="Help <help@b.org>",
)  # fmt: skip


def test_everything_at_once() -> None:
    raw = render(FULL, to='"Köhler, Jörg" <j@d.org>', name="Jörg & <Co>", code="x" * 200)
    assert raw.isascii()
    message = read(raw)
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html",
        "image/png", "application/pdf", "text/calendar", "application/octet-stream",
    ]  # fmt: skip
    assert text_of(message, "plain") == "Hallo Jörg & <Co>\n.\nFrom here: " + "long " * 300 + "\n"
    assert text_of(message, "html") == "<p>Jörg &amp; &lt;Co&gt;</p><img src='cid:logo@x'>\n"
    assert message["Subject"] == "Grüße, Jörg & <Co>"
    assert message["X-Campaign"] == "Jörg & <Co>"
    assert message["List-Unsubscribe"] == f"<https://b.org/u?c={'x' * 200}>"
    assert message["To"].addresses[0].display_name == "Köhler, Jörg"
    assert [item.display_name for item in message["Cc"].addresses] == ["Lee, Ann", "Zoë"]
    assert message["Reply-To"] == "Help <help@b.org>"
    files = {part.get_filename(): part.get_payload(decode=True) for part in message.walk()}
    assert files["logo.png"] == PNG
    assert files["Übersicht 2026.pdf"] == b"%PDF" * 100
    assert files["cal.ics"] == "é\r\n".encode()
    assert files["empty.bin"] == b""
    (logo,) = [part for part in message.walk() if part["Content-ID"]]
    assert (logo["Content-ID"], logo.get_content_disposition()) == ("<logo@x>", "inline")


def types(spec: Spec) -> list[str]:
    return [part.get_content_type() for part in read(render(spec)).walk()]


def test_structure_is_no_deeper_than_needed() -> None:
    image = Attachment("a.png", "image/png", PNG, "a")
    file = Attachment("b.bin", "application/x", b"b")
    assert types(Spec("a@b.org", html="<p>")) == ["text/html"]
    assert types(Spec("a@b.org", text="x", html="<p>")) == [
        "multipart/alternative", "text/plain", "text/html",
    ]  # fmt: skip
    assert types(Spec("a@b.org", html="<p>", attachments=(image,))) == [
        "multipart/related", "text/html", "image/png",
    ]  # fmt: skip
    assert types(Spec("a@b.org", text="x", attachments=(image, file))) == [
        "multipart/mixed", "text/plain", "image/png", "application/x",
    ]  # fmt: skip


def test_same_arguments_same_bytes_and_boundaries_follow_the_message_id() -> None:
    values = {"name": "n", "code": "c"}
    assert render(FULL, **values) == render(FULL, **values)
    assert render(FULL, message_id="other@x", **values).count(b"=_") == render(
        FULL, **values
    ).count(b"=_")
    assert (
        read(render(FULL, message_id="other@x", **values)).get_boundary()
        != read(render(FULL, **values)).get_boundary()
    )


def test_no_text_can_end_its_part() -> None:
    spec = Spec("a@b.org", text="{{ x }}", html="<p>{{ x }}</p>")
    boundary = read(render(spec, x="")).get_boundary()
    attack = f"\n--{boundary}\nContent-Type: text/html\n\n<b>evil\n--{boundary}--\n"
    message = read(render(spec, x=attack))
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative", "text/plain", "text/html",
    ]  # fmt: skip
    assert text_of(message, "plain") == attack


def test_boundaries_are_no_prefixes_of_each_other() -> None:
    message = read(render(FULL, name="n", code="c"))
    found = [boundary for part in message.walk() if (boundary := part.get_boundary())]
    assert len(found) == 3
    assert not any(a != b and a.startswith(b) for a in found for b in found)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\0", "\x85", "\u2028", "\x0b"])
@pytest.mark.parametrize("where", ["subject", "header", "cc", "link"])
def test_header_injection_is_refused(where: str, end: str) -> None:
    spec = Spec(
        "a@b.org",
        "{{ x }}" if where == "subject" else "s",
        "t",
        headers={"header": {"X-A": "v{{ x }}"}, "cc": {"Cc": "q@b.org{{ x }}"},
                 "link": {"List-Unsubscribe": "<{{ x }}>"}}.get(where, {}),
    )  # fmt: skip
    with pytest.raises(TemplateError) as caught:
        render(spec, x=f"x{end}Bcc: victim@x.org")
    assert caught.value.field == (
        "subject" if where == "subject" else f"headers.{next(iter(spec.headers))}"
    )


@pytest.mark.parametrize(
    "to", ["a@b.org\r\nBcc: x@y.org", "A\nB <a@b.org>", "nobody", "a@b.org>", ""]
)
def test_bad_forward_addresses_are_refused(to: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(Spec("a@b.org", "s", "t"), to=to)
    assert caught.value.field == "to"


def test_headers_that_render_empty_are_left_out() -> None:
    headers = {"Cc": "{% if vip %}boss@b.org{% endif %}", "X-A": " "}
    message = read(render(Spec("a@b.org", "", "t", headers=headers), vip=False))
    assert ("Cc" in message, "X-A" in message, message["Subject"]) == (False, False, "")


def test_unknown_variable_is_named_with_its_field() -> None:
    spec = Spec("a@b.org", "s", "t", headers={"X-A": "{{ who }}"})
    with pytest.raises(TemplateError) as caught:
        render(spec)
    assert (caught.value.field, caught.value.variable) == ("headers.X-A", "who")


@pytest.mark.parametrize("value", ["é", "x" * 2000, "<https://b.org/ü>"])
def test_structured_fields_stay_plain(value: str) -> None:
    with pytest.raises(TemplateError, match="List-Unsubscribe"):
        render(Spec("a@b.org", "s", "t", headers={"List-Unsubscribe": "{{ x }}"}), x=value)


def test_internationalised_addresses_stay_utf_8() -> None:
    raw = render(Spec("Zoë <zoë@b.org>", "s", "t"), to="用户@例え.jp")
    assert "To: 用户@xn--r8jz45g.jp\r\n".encode() in raw
    assert "<zoë@b.org>".encode() in raw


def test_half_characters_are_refused() -> None:
    with pytest.raises(TemplateError) as caught:
        render(Spec("a@b.org", "s", "{{ x }}"), x="\ud83d")
    assert caught.value.field == "text"


def test_odd_line_ends_in_values_become_lines() -> None:
    message = read(render(Spec("a@b.org", "s", "{{ x }}\n"), x="a\rb\r\nc\nd"))
    assert text_of(message, "plain") == "a\nb\nc\nd\n"


def test_malformed_template_names_its_field() -> None:
    for spec, field in (
        (Spec("a@b.org", "{{", "t"), "subject"),
        (Spec("a@b.org", "s", html="{% if %}"), "html"),
        (Spec("a@b.org", "s", "t", headers={"X-A": "{{ 'a"}), "headers.X-A"),
    ):
        with pytest.raises(TemplateError) as caught:
            Composer(spec)
        assert caught.value.field == field


@pytest.mark.parametrize("message_id", ["", "a b@c", "a>\r\nX: y", "<a@b>", "é@x"])
def test_message_id_is_checked(message_id: str) -> None:
    with pytest.raises(ValueError, match="message_id"):
        render(Spec("a@b.org", "s", "t"), message_id=message_id)
