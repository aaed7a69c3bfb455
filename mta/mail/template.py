"""A sender's templates: compiled once, rendered per recipient, dangerous ones refused.

Rule 1: an unknown variable is an error that names it, never an empty place in a mail.
Rule 2: HTML escapes what it is given, other texts do not; None prints as nothing.
Rule 3: a template of literal text and plain `{{ name }}` is joined without Jinja2, same result.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

import jinja2
from markupsafe import escape

from mta.mail.sandbox import MAX_TEXT, Environment, Exhausted, UnknownVariable, printable

MAX_SOURCE = 1_000_000
MAX_TAGS = 10_000
_CACHED_SOURCE = 64_000

#: Whatever a template may do wrong while it runs; the sandbox keeps anything else out.
_RUNTIME_ERRORS = (
    jinja2.TemplateError, Exhausted, TypeError, ValueError, ArithmeticError, LookupError,
    AttributeError, RecursionError,
)  # fmt: skip
_PLAIN = re.compile(r"\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*\}\}")
_KEYWORDS = (
    "and as block else elif false False for if import in is none None not or range self super"
    " true True loop caller varargs kwargs"
)
_NOT_NAMES = frozenset(_KEYWORDS.split())
_LINE_ENDS = re.compile(r"\r\n|\r")


class TemplateError(ValueError):
    """A template, or the values for it, that cannot be rendered."""

    def __init__(self, reason: str, *, field: str, variable: str | None = None) -> None:
        super().__init__(f"{field}: {reason}")
        self.reason = reason
        #: What the template is for: "subject", "html", "headers.X-Id".
        self.field = field
        #: The variable without a value, when that is the trouble.
        self.variable = variable


class Compiled(Protocol):
    """A template ready to render."""

    field: str

    def render(self, values: Mapping[str, Any]) -> str:
        """The text, line ends as LF, at most MAX_TEXT characters; TemplateError."""


def compile_template(source: str, *, html: bool, field: str) -> Compiled:
    """A template from its source; TemplateError when it is malformed or asks for what is barred."""
    if len(source) > MAX_SOURCE:
        raise TemplateError(f"is longer than {MAX_SOURCE} characters", field=field)
    if source.count("{{") + source.count("{%") > MAX_TAGS:
        raise TemplateError(f"has more than {MAX_TAGS} tags", field=field)
    if len(source) > _CACHED_SOURCE:
        return _compile(source, html, field)
    return _compile_cached(source, html, field)


def _compile(source: str, html: bool, field: str) -> Compiled:
    pieces = _PLAIN.split(_LINE_ENDS.sub("\n", source))
    plain = not any(mark in piece for piece in pieces[::2] for mark in ("{{", "{%", "{#"))
    if plain and _NOT_NAMES.isdisjoint(pieces[1::2]):
        return Plain(pieces, html, field)
    return _Full(source, html, field)


_compile_cached = lru_cache(maxsize=512)(_compile)


class Plain:
    """Literal text and names in turn."""

    __slots__ = ("_names", "field", "html", "pieces")

    def __init__(self, pieces: list[str], html: bool, field: str) -> None:
        self.field = field
        self.html = html
        #: Literal text, name, literal text, name, ..., literal text; line ends as LF.
        self.pieces = pieces
        self._names = list(enumerate(pieces))[1::2]

    def render(self, values: Mapping[str, Any]) -> str:
        out = self.pieces.copy()
        html = self.html
        name = ""
        try:
            for index, name in self._names:
                value = values[name]
                if type(value) is not str:
                    value = printable(value)
                out[index] = escape(value) if html else str(value)
        except KeyError:
            raise TemplateError(
                f"unknown variable {name!r}", field=self.field, variable=name
            ) from None
        except _RUNTIME_ERRORS as error:
            raise TemplateError(f"{name} {error}", field=self.field) from None
        return _bounded("".join(out), self.field)


class _Full:
    """Everything else the sandbox knows."""

    __slots__ = ("_environment", "_template", "field")

    def __init__(self, source: str, html: bool, field: str) -> None:
        self.field = field
        self._environment = _environment(html)
        try:
            self._template = self._environment.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"line {error.lineno}: {error.message}", field=field) from None
        except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
            # Python's own compiler and Jinja2's parser give up on deep nesting in these ways.
            raise TemplateError(f"too deep or malformed: {error}"[:200], field=field) from None

    def render(self, values: Mapping[str, Any]) -> str:
        out, length = [], 0
        context = self._template.new_context(self._environment.new_work(dict(values)))
        try:
            for piece in self._template.root_render_func(context):
                length += len(piece)
                if length > MAX_TEXT:
                    raise Exhausted("makes a text that is too long")
                out.append(piece)
        except UnknownVariable as error:
            raise TemplateError(
                f"unknown variable {error.name!r}", field=self.field, variable=error.name
            ) from None
        except _RUNTIME_ERRORS as error:
            raise TemplateError(str(error)[:200], field=self.field) from None
        return "".join(out)


def _bounded(text: str, field: str) -> str:
    if len(text) > MAX_TEXT:
        raise TemplateError("makes a text that is too long", field=field)
    return text


@lru_cache(maxsize=2)
def _environment(html: bool) -> Environment:
    return Environment(html=html)
