"""The module of MAILMILL_POLICY: what is taken and what refuses the start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from mta.policy.hooks import HOOKS, NONE, Hooks, HooksRefused, load

Written = Callable[..., str]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    """Makes a module of some functions; its name."""

    def write(**functions: object) -> str:
        module = ModuleType("policy_of_this_test")
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return module.__name__

    return write


def one(value: object) -> None:
    pass


async def waits(value: object) -> None:
    pass


def test_no_module() -> None:
    assert load("") is NONE
    assert Hooks() == NONE


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_alone(name: str, written: Written) -> None:
    hooks = load(written(**{name: one}))
    assert {hook for hook in HOOKS if getattr(hooks, hook) is not None} == {name}


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ({}, "has none of inject, choose_pool, on_reply, on_event"),
        ({"inject": lambda: None}, "inject() must take exactly one positional argument"),
        ({"inject": lambda a, b: None}, "inject(a, b) must take exactly one"),
        ({"inject": lambda *, message: None}, "must take exactly one"),
        ({"on_event": waits}, "without async"),
        ({"inject": 5}, "inject is no function"),
        ({"inject": one, "on_bounce": one}, "on_bounce is no hook"),
        ({"inject": one, "choose_source": one}, "choose_source is no hook"),
    ],
)
def test_what_refuses_the_start(functions: dict[str, object], said: str, written: Written) -> None:
    with pytest.raises(HooksRefused) as refused:
        load(written(**functions))
    assert said in str(refused.value)


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(HooksRefused) as refused:
        load("no_such_policy")
    assert "PYTHONPATH" in str(refused.value)


@pytest.mark.parametrize("function", [lambda a, b=1: None, lambda *a: None, one])
def test_what_can_be_called_with_one_value(function: object, written: Written) -> None:
    assert load(written(inject=function)).inject is function
