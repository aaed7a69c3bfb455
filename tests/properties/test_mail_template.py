"""The fast path of plain templates gives what Jinja2 itself gives."""

import jinja2
from hypothesis import given
from hypothesis import strategies as st

from mta.mail.template import TemplateError, compile_template

_LITERAL = st.text(st.sampled_from("a{}%# -+\r\n<&\"'é_|."), max_size=8)
_TAG = st.sampled_from(
    ["{{ a }}", "{{b}}", "{{  c\t}}", "{{ missing }}", "{{ a}}", "{{ true }}", "{{a.b}}",
     "{{- a }}",
     "{{ a\n}}", "{{ a -}}", "{{\u00a0a }}"]
)  # fmt: skip
_VALUE = st.one_of(st.text(max_size=6), st.integers(), st.floats(), st.booleans(), st.none())


@given(
    parts=st.lists(st.one_of(_LITERAL, _TAG), max_size=8),
    values=st.fixed_dictionaries({"a": _VALUE, "b": _VALUE, "c": _VALUE}),
    html=st.booleans(),
)
def test_same_as_jinja2(parts: list[str], values: dict[str, object], html: bool) -> None:
    source = "".join(parts)
    peer = jinja2.Environment(
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        finalize=lambda value: "" if value is None else value,
    )
    expected: str | None
    try:
        expected = peer.from_string(source).render(values)
    except jinja2.TemplateError:
        expected = None
    try:
        ours: str | None = compile_template(source, html=html, field="f").render(values)
    except TemplateError:
        ours = None
    assert ours == expected
