"""The arguments of a request to Kraken: whatever was sent, they are read or refused, never guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import get_args
from urllib.parse import parse_qsl

from tasks.exchange.orders import CLIENT_ID, OrderRequest, Side, TimeInForce
from tasks.exchange.practice.kraken.names import Names, Pair, decimals_of
from tasks.exchange.practice.kraken.words import (
    INVALID_ARGUMENTS,
    ORDER_TYPES,
    UNKNOWN_PAIR,
    KrakenRefusal,
    invalid,
)
from tasks.exchange.units import SECOND

_MOST_FIELDS = 200
_LONGEST_BODY = 100_000
_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

_ABSENT_HERE = ("leverage", "close", "reduce_only", "displayvol", "starttm", "margin", "stptype")
"""What Kraken offers and this exchange does not: to take such an order without it would make it another one."""
_HARMLESS = frozenset({"", "0", "none", "false"})
_FLAGS = frozenset({"fciq", "nompp", "post", "viqc"})


class Arguments:
    """What was sent, by name."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given

    def text(self, name: str, default: str | None = None) -> str:
        """Return an argument; refused if it is missing and there is no default."""
        value = self._given.get(name, "") or default
        if value is None:
            raise invalid(name)
        return value

    def has(self, name: str) -> bool:
        """Tell whether there is such an argument, and something in it."""
        return bool(self._given.get(name))

    def integer(self, name: str, default: int | None = None, *, least: int = 0, most: int = 2**63 - 1) -> int:
        """Return a whole number within bounds."""
        if default is not None and not self.has(name):
            return default
        value = self.text(name)
        if not _INTEGER.fullmatch(value) or not least <= int(value) <= most:
            raise invalid(name)
        return int(value)

    def number(self, name: str) -> Decimal:
        """Return a number without sign, exponent or other ornament."""
        value = self.text(name)
        if not _NUMBER.fullmatch(value):
            raise invalid(name)
        return Decimal(value)

    def one_of(self, name: str, choices: Collection[str], default: str | None = None) -> str:
        """Return one of some words."""
        value = self.text(name, default)
        if value not in choices:
            raise invalid(name)
        return value

    def flag(self, name: str) -> bool:
        """Return whether a switch is on: anything but `false` is, so that a slip of the pen does not switch it off."""
        return self.has(name) and self._given[name].lower() != "false"

    def ids(self, name: str, most: int) -> list[str]:
        """Return the parts of a list with commas, each once."""
        parts = list(dict.fromkeys(part.strip() for part in self.text(name).split(",")))
        if len(parts) > most:
            raise invalid(name)
        return parts

    def client_id(self) -> str | None:
        """Return the sender's own id of an order."""
        if not self.has("cl_ord_id"):
            return None
        value = self.text("cl_ord_id")
        if not CLIENT_ID.fullmatch(value):
            raise invalid("cl_ord_id")
        return value

    def userref(self) -> int | None:
        """Return the sender's own number of orders."""
        return self.integer("userref", least=-(2**31), most=2**31 - 1) if self.has("userref") else None

    def pair(self, names: Names) -> Pair:
        """Return the market that is asked for."""
        return find_pair(names, self.text("pair"))

    def instant(self, name: str) -> int:
        """Return a time written by RFC 3339, in nanoseconds since 1970 UTC."""
        match = _INSTANT.fullmatch(self.text(name))
        if not match:
            raise invalid(name)
        whole, fraction, zone = match.groups()
        try:
            passed = datetime.fromisoformat(whole.upper() + zone.upper()) - _EPOCH
        except (ValueError, OverflowError):
            raise invalid(name) from None
        return (passed.days * 86_400 + passed.seconds) * SECOND + int((fraction or "0").ljust(9, "0"))


def read_body(body: str, query: Mapping[str, str]) -> Arguments:
    """Read a body of form fields or JSON, together with the query."""
    if len(body) > _LONGEST_BODY:
        raise KrakenRefusal(INVALID_ARGUMENTS)
    try:
        given = _read_json(body) if body.lstrip().startswith("{") else _read_form(body)
    except (ValueError, RecursionError):
        raise KrakenRefusal(INVALID_ARGUMENTS) from None
    return Arguments({**query, **given})


def find_pair(names: Names, name: str) -> Pair:
    """Return the market of a name."""
    found = names.find(name)
    if found is None:
        raise KrakenRefusal(UNKNOWN_PAIR)
    return found


def read_order(arguments: Arguments, names: Names, now: int) -> OrderRequest:
    """Read a new order; `now` is the exchange's time, from which a relative expiry counts."""
    side: Side = "buy" if arguments.one_of("type", get_args(Side)) == "buy" else "sell"
    kind = ORDER_TYPES[arguments.one_of("ordertype", ORDER_TYPES)]
    for name in _ABSENT_HERE:
        if arguments.text(name, "none").lower() not in _HARMLESS:
            raise invalid(name)
    arguments.one_of("trigger", ("last",), "last")
    pair = arguments.pair(names)
    waits, limited = kind not in ("market", "limit"), kind.endswith("limit")
    limit = _price(arguments, "price2" if waits else "price", pair) if limited else None
    flags = _flags(arguments)
    if "viqc" in flags and (side, kind) != ("buy", "market"):
        raise invalid("viqc")
    client_id = arguments.client_id()
    if client_id is not None and arguments.userref() is not None:
        raise invalid("cl_ord_id and userref exclude each other")
    in_force, expires = _time_in_force(arguments, now) if limited or waits else ("GTC", None)
    return OrderRequest(
        symbol=pair.symbol,
        side=side,
        type=kind,
        amount=arguments.number("volume"),
        price=limit,
        trigger=_price(arguments, "price", pair) if waits else None,
        client_id=client_id,
        post_only="post" in flags,
        time_in_force=in_force,
        expires=expires,
        deadline=arguments.instant("deadline") if arguments.has("deadline") else None,
        in_quote="viqc" in flags,
    )


def _price(arguments: Arguments, name: str, pair: Pair) -> Decimal:
    """Read a price; those relative to the market (+5, #2%) are not offered."""
    price = arguments.number(name)
    if decimals_of(price) > pair.price_decimals:
        text = f"{pair.altname} price can only be specified up to {pair.price_decimals} decimals."
        raise KrakenRefusal(f"EOrder:Invalid price:{text}")
    return price


def _flags(arguments: Arguments) -> set[str]:
    flags = {flag.strip() for flag in arguments.text("oflags", "fciq").split(",")} - {""}
    if not flags <= _FLAGS:
        raise invalid("oflags")
    return flags


def _time_in_force(arguments: Arguments, now: int) -> tuple[TimeInForce, int | None]:
    """Read how long an order lasts: a time of expiry alone makes it good till then."""
    expires = _expiry(arguments, now)
    words: tuple[TimeInForce, ...] = get_args(TimeInForce)
    word = arguments.one_of("timeinforce", words, "GTC" if expires is None else "GTD")
    return next(each for each in words if each == word), expires


def _expiry(arguments: Arguments, now: int) -> int | None:
    value = arguments.text("expiretm", "0")
    if value == "0":
        return None
    relative = value.startswith("+")
    if not _NUMBER.fullmatch(value.removeprefix("+")):
        raise invalid("expiretm")
    ns = int(Decimal(value.removeprefix("+")) * SECOND)
    if ns >= 2**62:
        raise invalid("expiretm")
    return now + ns if relative else ns


def _read_form(body: str) -> dict[str, str]:
    return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="replace"))


def _read_json(body: str) -> dict[str, str]:
    """Read an object of plain values; numbers keep the digits that were sent."""
    read = json.loads(body, parse_float=str, parse_int=str, parse_constant=str)
    if any(isinstance(value, dict | list) for value in read.values()):
        raise ValueError("only plain values")
    return {name: _word(value) for name, value in read.items() if value is not None}


def _word(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value
