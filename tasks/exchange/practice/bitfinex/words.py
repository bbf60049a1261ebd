"""Bitfinex's words: its errors, its names of currencies and pairs, and how arguments are read.

An error is HTTP 500 with the row ["error", code, text] (docs.bitfinex.com, reference). Nothing that a sender wrote is
ever repeated in an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from tasks.exchange.rules import MarketRules

BAD_ARGUMENTS = 10020
FAILED = 10001
"""An order that was not made, a permission that is not given: the text alone says which."""
BAD_KEY = 10100
SMALL_NONCE = 10114
RATE_LIMIT = 11010
MAINTENANCE = 20060

MAX_INTEGER = 2**53 - 1
"""The greatest nonce and id: Bitfinex counts in JavaScript's numbers."""

_NAMES = {"USDT": "UST", "USDC": "UDC"}
"""Currencies that Bitfinex calls by a name of its own; the others bear the usual one."""

_INTEGER = re.compile(r"-?[0-9]{1,16}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,30})?([eE]-?[0-9]{1,2})?")


class ErrorRow(Exception):
    """What is asked is answered with an error row."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @property
    def row(self) -> list[Any]:
        """The row as it is sent."""
        return ["error", self.code, self.text]


def invalid(name: str) -> ErrorRow:
    """Build the error for an argument that cannot be used."""
    return ErrorRow(BAD_ARGUMENTS, f"{name}: invalid")


def currency_name(code: str) -> str:
    """Return Bitfinex's name of a currency: UST for USDT."""
    return _NAMES.get(code, code)


def pair_name(rules: MarketRules) -> str:
    """Return Bitfinex's name of a pair, without the leading t: BTCUSD; with a colon if a name is longer, DOGE:USD."""
    base, quote = currency_name(rules.base), currency_name(rules.quote)
    return f"{base}{quote}" if len(base) == 3 == len(quote) else f"{base}:{quote}"


def plain(value: Decimal) -> str:
    """Print a number without exponent or idle zeros.

    >>> plain(Decimal("5.00E-5"))
    '0.00005'
    """
    return f"{value.normalize():f}"


def body_of(text: str) -> dict[str, Any]:
    """Read the body of a request: a JSON object, whose fractions are kept as text so that none of them is rounded.

    Raises ErrorRow for anything else.
    """
    try:
        body = json.loads(text or "{}", parse_float=str, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise invalid("body") from None
    if not isinstance(body, dict):
        raise invalid("body")
    return body


def integer(arguments: Mapping[str, Any], name: str, low: int = 0, high: int = MAX_INTEGER) -> int | None:
    """Return an argument that is a whole number, or the text of one; None where it is absent.

    Raises ErrorRow for anything else, and beyond the bounds.
    """
    value = arguments.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise invalid(name)
    return value


def integers(arguments: Mapping[str, Any], name: str) -> set[int] | None:
    """Return an argument that is a list of whole numbers; None where it is absent. ErrorRow for anything else."""
    values = arguments.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or any(type(value) is not int for value in values):
        raise invalid(name)
    return set(values)


def decimal(arguments: Mapping[str, Any], name: str) -> Decimal:
    """Return an argument that is a number, or the text of one. Raises ErrorRow where it is absent or anything else."""
    value = arguments.get(name)
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise invalid(name)
    return Decimal(value)


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)
