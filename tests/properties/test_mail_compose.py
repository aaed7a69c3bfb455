"""No value, however odd, changes the structure of a message or gets lost in it."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

from hypothesis import given
from hypothesis import strategies as st

from mta.mail import wire
from mta.mail.compose import Attachment, Composer, Spec, TemplateError

AT = datetime(2026, 11, 21, 4, 5, 6, tzinfo=UTC)
COMPOSER = Composer(
    Spec(
        "a@b.org", "{{ s }}", "{{ t }}\n", "<p>{{ t }}</p>\n", {"X-A": "{{ s }}"},
        (Attachment("a.bin", "application/x", b"\0\xff"),),
    )
)  # fmt: skip
# What the standard library's parser, our peer here, cannot tell from line ends inside a header.
_LINE = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), max_size=120)
_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=200)
_ANY = st.text(st.one_of(st.characters(), st.sampled_from("\r\n: ")), max_size=60)


def compose(subject: str, text: str) -> EmailMessage:
    raw = COMPOSER.render(
        to="c@d.org", substitutions={"s": subject, "t": text}, date=AT, message_id="x@y"
    )
    assert raw.isascii()
    assert wire.check(raw) is None
    assert wire.longest_line(raw) <= 998
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


@given(subject=_LINE, text=_TEXT)
def test_what_goes_in_comes_out(subject: str, text: str) -> None:
    message = compose(subject, text)
    assert message["Subject"] == subject.strip(" ")
    part = message.get_body(("plain",))
    assert part is not None
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().replace("\r\n", "\n") == text + "\n"


@given(subject=_ANY, text=_ANY)
def test_structure_never_changes(subject: str, text: str) -> None:
    try:
        message = compose(subject, text)
    except TemplateError:
        return
    assert [name for name in message if name != "X-A"] == [  # left out when empty
        "Date", "Message-ID", "From", "To", "Subject", "MIME-Version", "Content-Type",
    ]  # fmt: skip
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "application/x",
    ]  # fmt: skip
