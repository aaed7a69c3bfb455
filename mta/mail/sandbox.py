"""The part of Jinja2 that a sender's template may use, with every loop and text bounded.

Rule 1: only the nodes, filters and methods named here exist; a new one needs a thought about size.
Rule 2: one evaluation of a node costs one unit of work, a loop pays for its body each time round,
        filters, calls and comparisons pay for the size of what they read and make, and a render
        has MAX_WORK units: time is bounded without a clock.
Rule 3: no expression makes a text or list that is not bounded by MAX_TEXT. Lists are written with
        constants only, so that values cannot be nested into ones that double with each line.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial, wraps
from typing import Any

from jinja2 import StrictUndefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateRuntimeError, TemplateSyntaxError, UndefinedError
from jinja2.filters import FILTERS, do_format, do_join, do_replace, do_round
from jinja2.runtime import Context, Undefined, markup_join, str_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing, pass_context

MAX_TEXT = 1_000_000
MAX_WORK = 250_000
MAX_DEPTH = 60
MAX_NODES = 50_000
MAX_TOKENS = 50_000
_MAX_NUMBER = 2**63

_WORK = "!work"  # no template can spell this name

_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Tuple,
    nodes.List, nodes.Dict, nodes.Pair, nodes.Keyword, nodes.CondExpr, nodes.Filter, nodes.Test,
    nodes.Call, nodes.Getitem, nodes.Getattr, nodes.Slice, nodes.Concat, nodes.Compare,
    nodes.Operand, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod,
    nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.If, nodes.For, nodes.Assign,
)  # fmt: skip
_METHOD_NAMES = "upper lower title capitalize strip startswith endswith split items keys values get"
_METHODS = frozenset(_METHOD_NAMES.split())
_FILTERS = (
    "abs capitalize count d default dictsort e escape first float int items join last length"
    " list lower map max min reject rejectattr replace reverse round safe select selectattr sort"
    " string title trim truncate unique upper urlencode format"
)
_CONTAINERS = (list, tuple, dict, set, frozenset)
_LITERALS = (nodes.List, nodes.Tuple, nodes.Dict)


class Exhausted(Exception):
    """A render that would take too much work or make too much text."""


class UnknownVariable(UndefinedError):
    """A name without a value; `name` is the variable or the attribute."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Unknown(StrictUndefined):
    """StrictUndefined whose error tells the name apart from the sentence."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[TemplateRuntimeError] = UndefinedError,
    ) -> None:
        told: Any = partial(UnknownVariable, str(name)) if exc is UndefinedError else exc
        super().__init__(hint, obj, name, told)


class Work:
    """What one render may still spend."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_WORK

    def spend(self, units: int) -> None:
        """Raises Exhausted when nothing is left."""
        self.left -= units
        if self.left < 0:
            raise Exhausted("does too much work: fewer or shorter loops")


def printable(value: Any) -> Any:
    """What `{{ }}` prints: None as nothing, no Python lists; Exhausted, TypeError."""
    if value is None:
        return ""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise Exhausted("makes a text that is too long")
        return value
    if isinstance(value, Undefined):
        return value  # printing it raises and names it
    if isinstance(value, _CONTAINERS) or callable(value) or hasattr(value, "__next__"):
        raise TypeError("prints a list or mapping: loop over it or use the join filter")
    return value


class _Generator(CodeGenerator):
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.join_bounded(context, (")
        for operand in node.nodes:
            self.visit(operand, frame)
            self.write(", ")
        self.write("))")


class Environment(ImmutableSandboxedEnvironment):
    """Jinja2 with the rules of this module."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"+", "-", "*", "%", "/", "//"})

    def __init__(self, *, html: bool) -> None:
        super().__init__(
            autoescape=html, undefined=Unknown, finalize=printable, keep_trailing_newline=True
        )
        self.globals = {"range": self.globals["range"]}
        special: dict[str, Callable[..., Any]] = {
            "format": _format, "join": _join, "replace": _replace, "round": _round,
            "string": lambda value: str(printable(value)),
        }  # fmt: skip
        self.filters = {
            name: _metered(special.get(name, FILTERS[name])) for name in _FILTERS.split()
        }
        self.filters |= {"!loop": _loop, "!read": _read}
        tests: dict[str, Any] = self.tests
        self.tests = {name: _metered(test) for name, test in tests.items()}

    def new_work(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values with a fresh budget beside them, for one render."""
        return {**values, _WORK: Work()}

    def join_bounded(self, context: Context, parts: tuple[Any, ...]) -> str:
        """`a ~ b`, paid for."""
        for part in parts:
            printable(part)
        text = markup_join(parts) if self.autoescape else str_join(parts)
        _pay(context, text)
        return text

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic on numbers; `+` also on texts."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            _pay(context, left)
            _pay(context, right)
            return left + right
        for operand in (left, right):
            if isinstance(operand, Undefined):
                str(operand)  # raises, naming it
        if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
            raise TypeError(f"operator {operator} takes numbers")
        result = self.binop_table[operator](left, right)
        if isinstance(result, int) and abs(result) >= _MAX_NUMBER:
            raise Exhausted("makes a number that is too large")
        return result

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """A method of a value, paid for; the odd names are those of Jinja2."""
        _pay(__context, getattr(__obj, "__self__", None))
        result = super().call(__context, __obj, *args, **kwargs)
        _pay(__context, None if isinstance(result, range) else result)
        return result

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        for count, _ in enumerate(self.lex(source)):  # lazy, and cheaper than parsing
            if count > MAX_TOKENS:
                raise TemplateSyntaxError(f"has more than {MAX_TOKENS} tokens", 1)
        tree = super()._parse(source, name, filename)
        _admit(tree)
        for loop in list(tree.find_all(nodes.For)):
            weight = nodes.Const(1 + sum(1 for _ in loop.find_all(nodes.Node)))
            loop.iter = _paying(loop.iter, "!loop", weight)
        for compared in list(tree.find_all(nodes.Compare)):
            compared.expr = _paying(compared.expr, "!read")
            for operand in compared.ops:
                operand.expr = _paying(operand.expr, "!read")
        for sliced in list(tree.find_all(nodes.Getitem)):
            sliced.node = _paying(sliced.node, "!read")
        tree.set_environment(self)
        return tree


def _admit(tree: nodes.Template) -> None:
    """Refuse, before any of it runs, what the rules of this module do not know."""
    todo: list[tuple[nodes.Node, int]] = [(tree, 0)]
    seen = 0
    while todo:
        node, depth = todo.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_NODES:
            raise TemplateSyntaxError("nested too deeply or too long", node.lineno)
        if not isinstance(node, _NODES):
            raise TemplateSyntaxError(f"{type(node).__name__} is not allowed", node.lineno)
        if isinstance(node, nodes.Call) and not _is_known_call(node):
            raise TemplateSyntaxError("only range() and simple methods can be called", node.lineno)
        if isinstance(node, nodes.For) and node.recursive:
            raise TemplateSyntaxError("recursive loops are not allowed", node.lineno)
        if isinstance(node, _LITERALS) and any(
            name.ctx == "load" for name in node.find_all(nodes.Name)
        ):
            raise TemplateSyntaxError("lists hold constants only", node.lineno)
        todo.extend((child, depth + 1) for child in node.iter_child_nodes())


def _is_known_call(node: nodes.Call) -> bool:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return False
    if isinstance(node.node, nodes.Name):
        return node.node.name == "range"
    return isinstance(node.node, nodes.Getattr) and node.node.attr in _METHODS


def _paying(node: Any, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _pay(context: Context, value: Any) -> None:
    """One unit, and more for the size of a text or container; Exhausted."""
    work: Work = context.parent[_WORK]
    if isinstance(value, Undefined) or not isinstance(value, Sized):
        work.spend(1)
        return
    size = len(value)
    if size > MAX_TEXT:
        raise Exhausted("makes a text that is too long")
    work.spend(1 + (size // 50 if isinstance(value, str) else size))


def _metered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test that pays for what it reads and returns."""
    wants = getattr(function, "jinja_pass_arg", None)

    @pass_context
    @wraps(function, assigned=("__name__", "__doc__"), updated=())
    def filtered(context: Context, *args: Any, **kwargs: Any) -> Any:
        for value in args:
            _pay(context, value)
        if wants is None:
            result = function(*args, **kwargs)
        else:
            first = {"environment": context.environment, "eval_context": context.eval_ctx}
            result = function(first.get(wants.name, context), *args, **kwargs)
        _pay(context, result)
        return result

    return filtered


@pass_context
def _read(context: Context, value: Any) -> Any:
    _pay(context, value)
    return value


@pass_context
def _loop(context: Context, items: Iterable[Any], weight: int) -> Iterator[Any]:
    work: Work = context.parent[_WORK]
    for item in items:
        work.spend(weight)
        yield item


def _format(value: Any, *args: Any, **kwargs: Any) -> str:
    if re.search(r"\*|\d{3}", str(value)):
        raise Exhausted("formats to a width of three digits or more")
    return do_format(value, *map(printable, args), **kwargs)


@pass_context
def _join(context: Context, value: Iterable[Any], d: str = "", attribute: Any = None) -> str:
    items, length = [], 0
    names = str(attribute).split(".") if attribute is not None else []
    for item in value:
        for name in names:
            item = context.environment.getitem(item, name)  # noqa: PLW2901 - walks down the path
        length += len(str(printable(item))) + len(d)
        if length > MAX_TEXT:
            raise Exhausted("makes a text that is too long")
        items.append(printable(item))
    joined: str = do_join(context.eval_ctx, items, d)
    return joined


@pass_context
def _replace(context: Context, s: str, old: str, new: str, count: int | None = None) -> str:
    text = str(printable(s))
    if len(text) + text.count(str(old)) * len(str(new)) > MAX_TEXT:
        raise Exhausted("makes a text that is too long")
    return do_replace(context.eval_ctx, s, old, new, count)


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if not -20 <= precision <= 20:
        raise ValueError("round takes a precision from -20 to 20")
    return do_round(value, precision, method)
