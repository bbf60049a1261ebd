"""The account's ledger as Kraken shows it: deposits, withdrawals and trades, each with the balance that it left."""

from __future__ import annotations

from base64 import b32encode
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple

from tasks.exchange.matching.exact import exact
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.kraken.arguments import Arguments
from tasks.exchange.practice.kraken.history import PAGE
from tasks.exchange.practice.kraken.names import Names, asset, plain
from tasks.exchange.practice.kraken.words import UNKNOWN_ASSET, KrakenRefusal, seconds

_TYPES = ("all", "deposit", "withdrawal", "trade")
_NEVER_HERE = ("transfer", "margin", "adjustment", "rollover", "credit", "settled", "staking", "dividend", "sale")
"""Types that Kraken has besides, of which this exchange has no entries."""
_MOST_ASSETS = 50


class _Move(NamedTuple):
    """A change of one balance."""

    time: int
    refid: str
    type: str
    currency: str
    amount: Decimal
    fee: Decimal = Decimal(0)
    told: bool = True


class Ledgers:
    """What moved the account's balances since it was opened; the money of the opening has no entry."""

    def __init__(self, exchange: PracticeExchange, names: Names) -> None:
        self._exchange = exchange
        self._names = names

    def page(self, arguments: Arguments) -> dict[str, Any]:
        """Return a page of entries, newest first, and how many there are."""
        kind = arguments.one_of("type", (*_TYPES, *_NEVER_HERE), "all")
        assets = self._assets(arguments)
        entries = {
            name: row
            for name, row in reversed(self._entries())
            if kind in ("all", row["type"]) and (not assets or row["asset"] in assets)
        }
        start, end = (self._moment(arguments, name, entries) for name in ("start", "end"))
        within = [
            (name, row)
            for name, row in entries.items()
            if (start is None or row["time"] > start) and (end is None or row["time"] <= end)
        ]
        offset = arguments.integer("ofs", 0)
        return {"ledger": dict(within[offset : offset + PAGE]), "count": len(within)}

    def _assets(self, arguments: Arguments) -> set[str]:
        """Return the ids of the assets that are asked for; none: all."""
        if arguments.text("asset", "all") == "all":
            return set()
        known = {asset(currency) for currency in self._exchange.engine.balances()}
        by_name = {name: each.id for each in known for name in (each.id, each.altname)}
        wanted = arguments.ids("asset", _MOST_ASSETS)
        if not all(name in by_name for name in wanted):
            raise KrakenRefusal(UNKNOWN_ASSET)
        return {by_name[name] for name in wanted}

    def _moment(self, arguments: Arguments, name: str, entries: dict[str, Any]) -> float | None:
        """Read a bound: a time in seconds, or the id of an entry, which stands for its time."""
        if not arguments.has(name):
            return None
        value = arguments.text(name)
        return float(entries[value]["time"] if value in entries else arguments.number(name))

    @exact
    def _entries(self) -> list[tuple[str, dict[str, Any]]]:
        """Return all entries by id, oldest first."""
        moves = sorted(self._moves(), key=lambda move: move.time)
        balances = defaultdict(Decimal, self._opening(moves))
        entries = []
        for move in moves:
            balances[move.currency] += move.amount - move.fee
            if move.told:
                known = asset(move.currency)
                row = {
                    "refid": move.refid,
                    "time": seconds(move.time),
                    "type": move.type,
                    "subtype": "tradespot" if move.type == "trade" else "",
                    "aclass": "currency",
                    "asset": known.id,
                    "amount": plain(move.amount, known.decimals),
                    "fee": plain(move.fee, known.decimals),
                    "balance": plain(balances[move.currency], known.decimals),
                }
                entries.append((_id("L", f"{move.refid}.{move.currency}"), row))
        return entries

    def _opening(self, moves: list[_Move]) -> dict[str, Decimal]:
        """Return what the account held before all that moved it."""
        balances = {currency: balance.total for currency, balance in self._exchange.engine.balances().items()}
        for move in moves:
            balances[move.currency] -= move.amount - move.fee
        return balances

    def _moves(self) -> Iterator[_Move]:
        for number, each in enumerate(self._exchange.transfers):
            kind = "deposit" if each.amount > 0 else "withdrawal"
            yield _Move(each.time, _id("Q", f"{number}"), kind, each.currency, each.amount, told=not each.silent)
        for fill in self._exchange.engine.fills:
            rules = self._names.pairs[fill.symbol].rules
            sign = 1 if fill.side == "buy" else -1
            yield _Move(fill.time, fill.id, "trade", rules.base, sign * fill.amount)
            yield _Move(fill.time, fill.id, "trade", rules.quote, -sign * fill.cost, fill.fee)


def _id(kind: str, name: str) -> str:
    """Return an id in the form of Kraken's: LRAZOD-K7BI2-HGXMQF."""
    text = b32encode(blake2b(f"{kind}.{name}".encode(), digest_size=10).digest()).decode()
    return f"{kind}{text[:5]}-{text[5:10]}-{text[10:]}"
