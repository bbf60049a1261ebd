"""Arithmetic that never rounds: where a result would not be exact, it raises instead."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_EXACT = Context(prec=200, traps=[DivisionByZero, Inexact, InvalidOperation, Overflow])
"""Far wider than a price times an amount times a fee; Python's own 28 digits round such products in silence."""


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function compute with Decimals exactly; a result that would be rounded raises decimal.Inexact."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(_EXACT):
            return function(*args, **kwargs)

    return inside
