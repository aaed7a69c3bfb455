"""Templates: what they may do, what they are refused, and errors that name the variable."""

from typing import Any

import pytest

from mta.mail.template import MAX_TAGS, TemplateError, compile_template

VALUES: dict[str, Any] = {
    "name": "Zoë <b>", "n": None, "flag": True, "price": 3.14159, "items": ["a", "b"],
    "order": {"city": "Köln", "lines": [{"what": "tea", "count": 2}]}, "big": 10**5000,
    "long": "x" * 900_000, "many": ["x"] * 50_000,
}  # fmt: skip


def render(source: str, *, html: bool = False, **values: Any) -> str:
    return compile_template(source, html=html, field="text").render({**VALUES, **values})


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hi {{ name }}!", "Hi Zoë <b>!"),
        ("{{name}}{{\tflag }}{{ n }}", "Zoë <b>True"),
        ("a\r\nb\rc\n{{ flag }}\n", "a\nb\nc\nTrue\n"),
        ("{% if flag %}yes{% else %}no{% endif %}\r\n", "yes\n"),
        ("{{ order.city }} {{ order['city']|upper }}", "Köln KÖLN"),
        ("{% for l in order.lines %}{{ loop.index }}:{{ l.what }} {{ l.count * 2 }}{% endfor %}",
         "1:tea 4"),
        ("{% for k, v in order.items() %}{{ k }},{% endfor %}", "city,lines,"),
        ("{{ items|join(', ') }} {{ items|map('upper')|join }}", "a, b AB"),
        ("{{ order.lines|join('-', 'what') }}", "tea"),
        ("{{ '%.2f'|format(price) }} {{ price|round(1) }}", "3.14 3.1"),
        ("{{ missing|default('you') }}{{ missing is defined }}", "youFalse"),
        ("{% set a = name ~ '!' %}{{ a }}{{ 'x' + 'y' }}{{ -1 + 2 }}", "Zoë <b>!xy1"),
        ("{{ none }}{# note #}{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{% if 'a' in ['a', 'b'] and name.startswith('Z') %}in{% endif %}", "in"),
        ("{{ name|replace('Z', 'z')|truncate(3) }}{{ 'a b'|urlencode }}", "zoë <b>a%20b"),
        ("{{ 'no' if n else 'yes' }}{{ long|length }}{{ 12|string }}", "yes90000012"),
    ],
)  # fmt: skip
def test_text(source: str, text: str) -> None:
    assert render(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ name }}", "Zoë &lt;b&gt;"),
        ("<i>{{ name }}</i>{{ name|safe }}", "<i>Zoë &lt;b&gt;</i>Zoë <b>"),
        ("{{ name ~ '&' }}", "Zoë &lt;b&gt;&amp;"),
        ("{{ items|join('<br>') }}{{ n }}", "a&lt;br&gt;b"),
    ],
)  # fmt: skip
def test_html_is_escaped(source: str, text: str) -> None:
    assert render(source, html=True) == text


@pytest.mark.parametrize(
    ("source", "variable"),
    [
        ("{{ nobody }}", "nobody"),
        ("{{ name }}{{ nobody }}{% if 1 %}{% endif %}", "nobody"),
        ("{% if nobody %}{% endif %}", "nobody"),
        ("{% for x in nobody %}{% endfor %}", "nobody"),
        ("{{ order.street }}", "street"),
        ("{{ 'a' + nobody }}", "nobody"),
        ("{{ nobody ~ 'a' }}", "nobody"),
        ("{{ nobody|upper }}", "nobody"),
        ("{{ not nobody }}", "nobody"),
        ("{{ loop }}", "loop"),
    ],
)
def test_unknown_variables_are_named(source: str, variable: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(source)
    assert (caught.value.variable, caught.value.field) == (variable, "text")
    assert variable in str(caught.value)


DOUBLING = "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a ~ a %}" * 40 + "{{ a }}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 10**9 }}", "{{ 'a' * 1000000000 }}", "{{ 10 ** 10 }}", "{{ [0] * 9 }}",
        "{% for i in range(10**9) %}{% endfor %}", "{% for i in range(1000000000) %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        *(
            "{% for i in range(99999) %}{% if " + costly + " %}{% endif %}{% endfor %}"
            for costly in (
                "long|upper", "long == name", "name in long", "long[1:]", "long.split('x')",
                "range(99999)|max", "many|sort", "many|map(attribute='x', default=1)|max",
                "long is eq(name)", "many|select('in', many)|list", "many.copy()",
            )
        ), "{{ long }}{{ long }}",
        "{% if 1 %}{{ long }}{{ long }}{% endif %}", "{{ long ~ long }}",
        "{{ long + long + long }}",
        DOUBLING, DOUBLING.replace("~", "+"), "{% set a = 9 %}" + "{% set a = a * a %}" * 9,
        "{% set a = [1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
        "{{ items|join(long) }}{{ items|join(long) }}", "{{ [1, 2, 3]|join(long) }}",
        "{{ long|replace('x', 'yy') }}", "{{ long|replace('', name) }}",
        "{{ '%999999999d'|format(1) }}", "{{ '%*d'|format(99999999, 1) }}", "{{ name|center(9) }}",
        "{{ 1.5|round(100000000, 'ceil') }}", "{{ big }}", "{{ big + 1 }}",
        "{{ " + "(" * 500 + "1" + ")" * 500 + " }}", "{{ " + "not " * 500 + "1 }}",
        "{{ 1" + "+1" * 500 + " }}", "{{ name" + ".a" * 500 + " }}", "{{ name" + "|e" * 500 + " }}",
        "{% if 1 %}" * 90 + "{% endif %}" * 90, "{% for i in items %}" * 25 + "{% endfor %}" * 25,
        "{{ name }}" * (MAX_TAGS + 1), "x" * 1_000_001, "{{ [" + "1," * 100_000 + "] }}",
    ],
)  # fmt: skip
def test_unbounded_templates_are_refused(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ name.__class__ }}", "{{ name['__class__'] }}", "{{ ''.__class__.__mro__ }}",
        "{{ name|attr('__class__') }}", "{{ items|map(attribute='__class__')|list|first }}",
        "{{ items|join(attribute='__class__') }}", "{{ items.append(1) }}", "{{ name.upper }}",
        "{{ range.__globals__ }}", "{{ range }}", "{{ cycler }}", "{{ lipsum() }}",
        "{{ namespace() }}", "{{ '{0.__class__}'.format(name) }}", "{% include 'x' %}",
        "{% import 'x' as y %}", "{% extends 'x' %}", "{% block a %}{% endblock %}",
        "{% macro m() %}{% endmacro %}", "{% set a %}{% endset %}",
        "{% filter upper %}{% endfilter %}",
        "{% call x() %}{% endcall %}", "{% for a in items recursive %}{% endfor %}", "{{ items }}",
        "{{ order }}", "{{ items|map('upper') }}", "{{ range(*items) }}", "{{ self.x() }}",
    ],
)  # fmt: skip
def test_what_leads_out_of_the_sandbox_is_refused(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source)


@pytest.mark.parametrize(
    "source", ["{{ name", "{% if %}", "{% foo %}", "{{ name|nope }}", "{{ 1/0 }}"]
)
def test_malformed_templates_are_refused(source: str) -> None:
    with pytest.raises(TemplateError, match=r"^text: "):
        render(source)


@pytest.mark.parametrize("source", ["{{ x }}", "{{ x ~ 'a' }}", "{{ x|upper }}", "{{ x|string }}"])
def test_long_values_are_refused(source: str) -> None:
    with pytest.raises(TemplateError, match="too long"):
        render(source, x="x" * 1_000_001)


def test_compiled_templates_are_reused() -> None:
    first = compile_template("{% if 1 %}x{% endif %}", html=False, field="text")
    assert compile_template("{% if 1 %}x{% endif %}", html=False, field="text") is first
    assert compile_template("{% if 1 %}x{% endif %}", html=True, field="text") is not first
