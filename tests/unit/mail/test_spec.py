"""What a Spec takes, what it refuses, and its JSON."""

from typing import Any

import pytest

from mta.mail.spec import Attachment, Spec, SpecError

FILE = Attachment("a.bin", "application/x", b"\0\xff" * 50)


def spec(**values: Any) -> Spec:
    return Spec(**{"from_": "a@b.org", "text": "t", **values})


def test_json_gives_the_same_spec() -> None:
    full = spec(
        subject="é {{ x }}", html="<p>", headers={"X-A": "b"}, reply_to="c@d.org",
        attachments=(FILE, Attachment("é.png", "image/png", b"", "cid")),
    )  # fmt: skip
    assert Spec.from_json(full.to_json()) == full
    assert Spec.from_json(spec().to_json()) == spec()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"from_": "nobody"}, "from"),
        ({"from_": ""}, "from"),
        ({"from_": "A\r\nB: c <a@b.org>"}, "from"),
        ({"reply_to": "a@"}, "reply_to"),
        ({"text": None}, "text"),
        ({"headers": {"X A": "b"}}, "headers.X A"),
        ({"headers": {"X:A": "b"}}, "headers.X:A"),
        ({"headers": {"X-A\r\nB": "b"}}, "headers.X-A\r\nB"),
        ({"headers": {"": "b"}}, "headers."),
        ({"headers": {"bcc": "b"}}, "headers.bcc"),
        ({"headers": {"DKIM-Signature": "b"}}, "headers.DKIM-Signature"),
        ({"headers": {"Content-Type": "b"}}, "headers.Content-Type"),
        ({"headers": {"Resent-To": "b"}}, "headers.Resent-To"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "headers"),
        ({"attachments": (Attachment("a", "nonsense", b""),)}, "attachments[0].content_type"),
        ({"attachments": (FILE, Attachment("a", "a/b\nX:y", b""))}, "attachments[1].content_type"),
        ({"attachments": (Attachment("a", "multipart/x", b""),)}, "attachments[0].content_type"),
        ({"attachments": (Attachment("a", "Message/x", b""),)}, "attachments[0].content_type"),
        ({"attachments": (Attachment("", "a/b", b""),)}, "attachments[0].filename"),
        ({"attachments": (Attachment("x" * 256, "a/b", b""),)}, "attachments[0].filename"),
        ({"attachments": (Attachment("a\nb", "a/b", b""),)}, "attachments[0].filename"),
        ({"attachments": (Attachment("a", "a/b", b"", "<x>"),)}, "attachments[0].content_id"),
        ({"attachments": (Attachment("a", "a/b", b"", ""),)}, "attachments[0].content_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_composed_is_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec(**values)
    assert caught.value.field == field
    assert caught.value.reason


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"null", spec().to_json().replace(b'"t"', b"1"),
     spec().to_json().replace(b"a@b.org", b"nobody"), spec().to_json().replace(b"{}", b'{"a":1}'),
     spec(attachments=(FILE,)).to_json().replace(b'"AP8A', b'"A')],
)  # fmt: skip
def test_other_json_is_refused(data: bytes) -> None:
    with pytest.raises(SpecError):
        Spec.from_json(data)


def test_contents_do_not_show() -> None:
    assert "\\xff" not in repr(spec(attachments=(FILE,)))
