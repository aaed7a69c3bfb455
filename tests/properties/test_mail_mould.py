"""A mould gives the bytes, the errors and the bounds of the long way, whatever is put into it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mta.mail.compose import Attachment, Composer, Spec, TemplateError

AT = datetime(2026, 11, 21, 4, 5, 6, 789, tzinfo=UTC)
NAMES = ("a", "b", "c_1")
# What decides between 7bit and quoted-printable, between one line and two, between plain and not.
_ODD = st.sampled_from(
    ["\n", "\r\n", "\r", "=_", "=", "_", "From ", "From", " ", "  ", ".", "\n.\n", "\t", "\0",
     "=?", "<", "&", "'", '"', "é", "用户", "\ud800", "\u2028", "\xa0", "x" * 70, "y" * 76,
     "z" * 900, "w " * 50, "=?utf-8?q?x?=", " \n", "@", "a@b.org", ","]
)  # fmt: skip
_PLAIN = st.sampled_from(["x", "Ann", "42", "-", "Hello there", "line\n", "shop"])
_SLOT = st.sampled_from(["{{ a }}", "{{a}}", "{{ b }}", "{{\tc_1 }}"])
# Most of what is drawn is ordinary, or the fast way would hardly be taken.
_TEMPLATE = st.lists(st.one_of(_PLAIN, _SLOT, _PLAIN, _SLOT, _ODD), max_size=9).map("".join)
_ROW = (
    st.lists(st.one_of(_PLAIN, _SLOT), max_size=6).map("".join).map(lambda t: t.replace("\n", ""))
)
_VALUE: st.SearchStrategy[Any] = st.one_of(
    _PLAIN.map(str.strip),
    st.lists(st.one_of(_PLAIN.map(str.strip), _ODD), max_size=4).map("".join),
    st.sampled_from([None, 7, -1.5, True, [], {"x": 1}, "v" * 5000]),
)
_VALUES = st.dictionaries(st.sampled_from(NAMES), _VALUE, min_size=2)
_HEADERS = st.dictionaries(
    st.sampled_from(["X-A", "List-Unsubscribe", "Cc", "In-Reply-To", "X-Campaign"]),
    st.one_of(_ROW, _TEMPLATE),
    max_size=3,
)
_ATTACHMENTS = st.sampled_from(
    [(), (Attachment("a.bin", "application/x", b"\0\xff"),),
     (Attachment("i.png", "image/png", b"\x89PNG", "i@x"), Attachment("é.bin", "a/b", b""))]
)  # fmt: skip
_TO = st.one_of(
    st.sampled_from(["a.b+c@d.org", "A@D.org", "Ann <a@b.org>", '"x y"@b.org', "é@b.org", "a@é.org",
                     "bad", "", "a@b.org\n", " a@b.org", "a@[127.0.0.1]", "x" * 65 + "@b.org"]),
)  # fmt: skip
_ID = st.sampled_from(["1@x", "abc@mx.example", "", "a b", "é@x"])


@st.composite
def _specs(draw: st.DrawFn) -> Spec:
    html = draw(st.one_of(st.none(), _TEMPLATE))
    return Spec(
        from_=draw(st.sampled_from(["a@b.org", "Ann <a@b.org>", "Zoë <zoë@b.org>"])),
        subject=draw(st.one_of(_ROW, _TEMPLATE)),
        text=draw(_TEMPLATE if html is None else st.one_of(st.none(), _TEMPLATE)),
        html=html,
        headers=draw(_HEADERS),
        attachments=draw(_ATTACHMENTS),
        reply_to=draw(st.sampled_from(["", "r@b.org"])),
    )


def outcome(render: Any, **values: Any) -> Any:
    """The bytes, or the error with all that it tells."""
    try:
        return render(**values)
    except TemplateError as error:
        return (error.reason, error.field, error.variable)
    except ValueError as error:
        return str(error)


@settings(max_examples=600, deadline=None)
@given(spec=_specs(), values=_VALUES, to=_TO, message_id=_ID)
@example(Spec("a@b.org", "s", "{{ a }}" + "x" * 75), {"a": "abc"}, "a@b.org", "1@x")
@example(Spec("a@b.org", "s", "{{ a }}" + "x" * 75), {"a": "abcd"}, "a@b.org", "1@x")
@example(Spec("a@b.org", "s", "={{ a }}{{ b }}"), {"a": "", "b": "_"}, "a@b.org", "1@x")
@example(Spec("a@b.org", "s", "{{ a }}rom x\n"), {"a": "F"}, "a@b.org", "1@x")
@example(Spec("a@b.org", "s", "\0{{ a }}"), {"a": "x"}, "a@b.org", "1@x")
@example(Spec("a@b.org", "s", html="x" * 70 + "{{ a }}"), {"a": "&&&"}, "a@b.org", "1@x")
@example(
    Spec("a@b.org", "{{ a }}", "t", headers={"X-A": "{{ a }} "}), {"a": "=?x"}, "a@b.org", "1@x"
)
@example(Spec("a@b.org", "{{ a }}", "t", headers={"X-A": "{{ a }} "}), {"a": "x"}, "a@b.org", "1@x")
@example(Spec("a@b.org", "{{ a }}" + "x" * 66, "t"), {"a": "x"}, "a@b.org", "1@x")
@example(Spec("a@b.org", "{{ a }}" + " " + "x" * 66, "t"), {"a": "x"}, "a@b.org", "1@x")
@example(Spec("a@b.org", "s", "{{ a }}{{ a }}" + "x" * 70), {"a": "xxxxx"}, "a@b.org", "1@x")
@example(Spec("a@b.org", "\t{{ a }}", "t"), {"a": "x"}, "a@b.org", "1@x")
@example(Spec("a@b.org", "{{ a }}", "t"), {"a": "x"}, "a@B.org", "1@x")
def test_mould_and_long_way_agree(
    spec: Spec, values: Mapping[str, Any], to: str, message_id: str
) -> None:
    try:
        composer = Composer(spec)
    except TemplateError:
        return
    given: dict[str, Any] = {
        "to": to, "substitutions": values, "date": AT, "message_id": message_id,
    }  # fmt: skip
    expected = outcome(composer.render_in_full, **given)
    for _ in range(3):  # the first ones may come before there is a mould
        assert outcome(composer.render, **given) == expected


@settings(max_examples=400, deadline=None)
@given(spec=_specs(), values=_VALUES)
@example(Spec("a@b.org", "s", "t", headers={"List-Unsubscribe": "{{ a }}"}), {"a": "é"})
@example(Spec("a@b.org", "s", "t", headers={"List-Unsubscribe": "é{{ a }}"}), {"a": "x"})
@example(Spec("a@b.org", "s", "t", headers={"List-Unsubscribe": "{{ a }}"}), {"a": "x" * 899})
@example(Spec("a@b.org", "s", "t", headers={"Cc": "{{ a }}"}), {"a": "x"})
def test_check_tells_what_render_would(spec: Spec, values: Mapping[str, Any]) -> None:
    try:
        composer = Composer(spec)
    except TemplateError:
        return
    rendered = outcome(
        composer.render_in_full, to="x" * 64 + "@" + "d." * 90 + "org", substitutions=values,
        date=AT, message_id="i" * 13 + "@" + "d" * 255,
    )  # fmt: skip
    for _ in range(3):
        checked = outcome(composer.check, substitutions=values)
        if isinstance(rendered, bytes):
            assert isinstance(checked, int)
            assert checked >= len(rendered)
        else:
            assert checked == rendered


def test_ordinary_messages_are_cast() -> None:
    composer = Composer(
        Spec("a@b.org", "Hi {{ a }}", "Dear {{ a }},\n{{ b }}\n", "<p>{{ a }}</p>\n",
             {"List-Unsubscribe": "<https://b.org/{{ b }}>"})
    )  # fmt: skip
    for index in range(3):
        values = {"a": f"Zoë {index}", "b": index}
        composer.render(to="c@d.org", substitutions=values, date=AT, message_id="1@x")
    assert composer._mould is not None
    assert composer._mould.render("c@d.org", values, AT, "1@x") is not None
    assert composer._mould.bound(values) is not None
