"""The condition of a routing rule: a line of a small expression language, compiled once.

Rule 1: the language is rule-engine's without what could run long or reach out: no regex, no power,
        no comprehension, no built-in function, no attribute. What is left costs time in proportion
        to its length, which is bounded.
Rule 2: unknown names, unlike types and a result that is not true or false are found at compile
        time, when a person saves the rule.
Rule 3: importing this module costs a quarter of a second and 11 MB: only who has rules does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import rule_engine
from rule_engine import ast, errors

from mta.policy.routing import NAMES, RuleFault, RuleTrouble, Value

MOST_CHARACTERS = 1000
DEEPEST = 40
METHODS = frozenset({"starts_with", "ends_with"})
_TYPES = {
    "text": rule_engine.DataType.STRING,
    "number": rule_engine.DataType.FLOAT,
    "list of texts": rule_engine.DataType.ARRAY(rule_engine.DataType.STRING),
}
_TRUTH = rule_engine.DataType.BOOLEAN
_STRING = re.compile(r"""(["'])(?:[^\\\n]|\\.)*?\1""")
#: What the library reads and this language does not have, with the way out.
_REFUSED = [
    (re.compile(r"%"), "there is no percent sign: write 0.05 for 5 %"),
    (re.compile(r"(?<![=!<>])=(?![=~])"), "a single = compares nothing: write =="),
    (re.compile(r"=~|!~"), "there are no patterns: use starts_with, ends_with, in or =="),
    (re.compile(r"\*\*|<<|>>|\^|//"), "only + - * / are there to reckon with"),
    (re.compile(r"&|\|"), "write the words `and` and `or`"),
    (re.compile(r"[${}#]|\b(?:for|if)\b|\?"), "only names, numbers, texts and lists are there"),
]
_ALLOWED = (
    ast.SymbolExpression, ast.StringExpression, ast.FloatExpression, ast.BooleanExpression,
    ast.ArrayExpression, ast.LogicExpression, ast.ComparisonExpression, ast.ContainsExpression,
    ast.AddExpression, ast.SubtractExpression, ast.ArithmeticExpression, ast.UnaryExpression,
    ast.FunctionCallExpression,
)  # fmt: skip

_FUNCTIONS = "The only functions are NAME.starts_with(TEXT) and NAME.ends_with(TEXT)."


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition; safe to share between threads."""

    text: str
    #: Of mta.policy.routing.NAMES; `holds` needs a value for each.
    names: frozenset[str]
    _rule: Any = field(repr=False, compare=False)

    def holds(self, facts: Mapping[str, Value]) -> bool:
        """Whether it is true of mail with these facts, of the types in NAMES.

        Raises RuleTrouble.
        """
        try:
            return bool(self._rule.matches(facts))
        except (errors.EngineError, ArithmeticError, ValueError, TypeError, LookupError) as error:
            text = str(getattr(error, "message", "") or error)
            raise RuleTrouble((text or type(error).__name__)[:200]) from error


def compile_condition(text: str) -> Condition:
    """The compiled condition. Raises RuleFault."""
    text = " ".join(text.split())
    if not text:
        raise RuleFault("The condition is empty: write `true` for all mail.")
    if len(text) > MOST_CHARACTERS:
        raise RuleFault(f"The condition has {len(text)} characters; {MOST_CHARACTERS} may be.")
    bare = _STRING.sub('""', text)
    for pattern, advice in _REFUSED:
        if found := pattern.search(bare):
            raise RuleFault(f"{found.group()!r} is not understood: {advice}.")
    context = rule_engine.Context(type_resolver=_type_of, default_timezone="utc")
    try:
        rule = rule_engine.Rule(text, context=context)
        _check(rule.statement.expression, 0)
    except errors.EngineError as error:
        raise RuleFault(_told(error)) from error
    except RecursionError:
        raise RuleFault("The condition is nested too deeply: split it into several.") from None
    except (ArithmeticError, TypeError) as error:
        raise RuleFault(f"A number in it cannot be reckoned with: {error}.") from error
    if rule.statement.expression.result_type != _TRUTH:
        raise RuleFault(
            "The condition gives a value, not true or false: compare it with something."
        )
    return Condition(text, frozenset(context.symbols), rule)


def _type_of(name: str) -> Any:
    if name not in NAMES:
        near = rule_engine.suggestions.suggest_symbol(name, NAMES)
        raise errors.SymbolResolutionError(name, suggestion=near)
    return _TYPES[NAMES[name]]


def _check(node: Any, depth: int) -> None:
    """Refuse what the language does not have, and comparisons that can never hold."""
    if depth > DEEPEST:
        raise RuleFault("The condition is nested too deeply: split it into several.")
    if not isinstance(node, _ALLOWED) or isinstance(node, ast.FuzzyComparisonExpression):
        what = type(node).__name__.removesuffix("Expression")
        raise RuleFault(f"{what} is not understood here: use names, numbers, texts and lists.")
    parts = list(_parts(node))
    kinds = [part.result_type for part in parts]
    if isinstance(node, ast.ComparisonExpression) and kinds[0] != kinds[1]:
        raise RuleFault("It compares a number with a text, which never holds.")
    if isinstance(node, ast.ArrayExpression) and any(kind != kinds[0] for kind in kinds):
        raise RuleFault("A list has texts or numbers, not both.")
    if isinstance(node, ast.ContainsExpression):
        of = getattr(kinds[0], "value_type", kinds[0])  # a text is looked for in a text
        if of != kinds[1]:
            raise RuleFault("It looks for a number among texts, or a text among numbers.")
    logical = isinstance(node, ast.LogicExpression) or (
        isinstance(node, ast.UnaryExpression) and node.result_type == _TRUTH
    )
    if logical and any(kind != _TRUTH for kind in kinds):
        raise RuleFault("`and`, `or` and `not` stand between comparisons: one side is a value.")
    for part in parts:
        _check(part, depth + 1)


def _parts(node: Any) -> Iterator[Any]:
    """The expressions that a node is made of."""
    if isinstance(node, ast.ArrayExpression):
        yield from node.value
    elif isinstance(node, ast.ContainsExpression):
        yield from (node.container, node.member)
    elif isinstance(node, ast.UnaryExpression):
        yield node.right
    elif isinstance(node, ast.FunctionCallExpression):
        function = node.function
        if not isinstance(function, ast.GetAttributeExpression) or function.name not in METHODS:
            raise RuleFault(
                "The only functions are NAME.starts_with(TEXT) and NAME.ends_with(TEXT)."
            )
        yield from (function.object, *node.arguments)
    elif hasattr(node, "left"):
        yield from (node.left, node.right)


def _told(error: errors.EngineError) -> str:
    """The library's complaint in our words."""
    if isinstance(error, errors.SymbolResolutionError):
        near = f" Did you mean {error.suggestion}?" if error.suggestion else ""
        return f"There is no name {error.symbol_name!r}.{near} docs/reference/routing.md has them."
    if isinstance(error, errors.AttributeResolutionError):
        return _FUNCTIONS
    if isinstance(error, errors.RuleSyntaxError):
        where = error.token
        if where is None:
            return "It ends too early: something is missing at the end."
        return (
            f"It cannot be read from {str(where.value)[:30]!r} on (character {where.lexpos + 1})."
        )
    if "mismatch" in error.message:
        return "Numbers go with numbers and texts with texts: it mixes them."
    return f"It cannot be read: {error.message}."
