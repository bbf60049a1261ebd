"""What can explain that an account holds other than its ledger expects: money moved in or out, and trades by hand."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal, NamedTuple

from data.errors import Refused
from data.views import read
from data.writer import Lake
from tasks.exchange.orders import Order
from tasks.exchange.trading import TradingClient
from tasks.exchange.units import MICROSECOND

ROUNDING = Decimal("1e-4")
"""By so much of the quote currency an exchange may round a fill, and by no more than this part of its cost."""

Kind = Literal["deposit", "withdrawal", "manual_trade", "pending"]


class OwnFill(NamedTuple):
    """A recorded fill of a session, as far as it moves money."""

    fill_id: str
    at: int
    """Nanoseconds since 1970 UTC."""
    base: str
    quote: str
    amount: Decimal
    """Base currency; below 0 when sold."""
    cost: Decimal
    """Quote currency; below 0 when sold."""
    fee: Decimal
    fee_currency: str

    def moves(self) -> Iterator[tuple[str, Decimal]]:
        """Yield what it moved, by currency."""
        yield self.base, self.amount
        yield self.quote, -self.cost
        yield self.fee_currency, -self.fee


@dataclass(frozen=True)
class Own:
    """What the live sessions of an account did by their ledgers."""

    lake: Lake
    account: str
    fills: tuple[OwnFill, ...]
    flows: Mapping[str, Decimal]
    """What they moved in all, by currency."""

    def rounding(self, currency: str, since: int, step: Decimal) -> Decimal:
        """Return by how much the exchange may have rounded what fills moved since then (ns); `step` is of amounts."""
        fills = [fill for fill in self.fills if fill.at >= since]
        costs = [rounding(fill.cost) for fill in fills if fill.quote == currency]
        return step * sum(fill.base == currency for fill in fills) + sum(costs, Decimal(0))

    def orders(self) -> tuple[set[str], set[str]]:
        """Return the exchange's ids of the sessions' orders, and the client ids of those whose id is not known."""
        query = """SELECT client_id, max(exchange_id) AS id FROM orders JOIN runs USING (run_id)
            WHERE runs.kind = 'live' AND runs.manifest ->> 'account' = ? GROUP BY client_id"""
        rows = read(self.lake, query, [self.account], tables={"runs", "orders"}).to_pylist()
        known = {row["id"] for row in rows if row["id"] is not None}
        return known, {row["client_id"] for row in rows if row["id"] is None}


def read_own(lake: Lake, account: str) -> Own:
    """Return what the live sessions of an account did. Read again only where one of its tables has a new version."""
    fills, flows = _read_fills(lake.root, account, (lake.version("runs"), lake.version("fills")))
    return Own(lake, account, fills, flows)


@functools.lru_cache(maxsize=8)
def _read_fills(
    root: Path, account: str, versions: tuple[int, int]
) -> tuple[tuple[OwnFill, ...], Mapping[str, Decimal]]:
    """Return the fills by time, as of these versions or newer ones, and what they moved by currency."""
    query = """SELECT fill_id, fills.symbol, epoch_us(ts) AS at, side, price_exact, amount_exact, fee_exact,
        fee_currency FROM fills JOIN runs USING (run_id)
        WHERE runs.kind = 'live' AND runs.manifest ->> 'account' = ? ORDER BY ts"""
    rows = read(Lake(root), query, [account], tables={"runs", "fills"}).to_pylist() if min(versions) >= 0 else []
    fills, flows = [], defaultdict[str, Decimal](Decimal)
    for row in rows:
        base, quote = currencies(row["symbol"])
        amount = Decimal(row["amount_exact"]) * (1 if row["side"] == "buy" else -1)
        cost, fee = Decimal(row["price_exact"]) * amount, Decimal(row["fee_exact"])
        at, fee_currency = row["at"] * MICROSECOND, row["fee_currency"] or quote
        fills.append(OwnFill(row["fill_id"], at, base, quote, amount, cost, fee, fee_currency))
        for currency, moved in fills[-1].moves():
            flows[currency] += moved
    return tuple(fills), flows


def rounding(cost: Decimal) -> Decimal:
    """Return by how much an exchange may have rounded a fill of this cost (quote currency)."""
    return ROUNDING * min(Decimal(1), abs(cost))


def currencies(symbol: str) -> tuple[str, str]:
    """Return base and quote currency of a market.

    >>> currencies("BTC/USD")
    ('BTC', 'USD')
    """
    base, _, quote = symbol.partition("/")
    return base, quote.partition(":")[0]


class Event(NamedTuple):
    """Something that moved a balance and that no ledger knows."""

    time: int
    """Nanoseconds since 1970 UTC, by the exchange's clock."""
    currency: str
    amount: Decimal
    kind: Kind
    """`pending` is a fill of an own order that its session has not taken in yet."""
    text: str
    rounding: Decimal = Decimal(0)
    """By how much the exchange may have rounded it."""


class Events(NamedTuple):
    """All that was found, and what could not be asked for."""

    found: list[Event]
    unread: str


def find_events(trader: TradingClient, own: Own, since: int) -> Events:
    """Ask the exchange what moved the account's money since then (ns) that is in no ledger, earliest first."""
    found, unread = list(_trades(trader, own, since)), ""
    try:
        for each in trader.transfers(since):
            text = f"a {each.kind} of {plain(abs(each.amount))} {each.currency}"
            found.append(Event(each.time, each.currency, each.amount, each.kind, text))
    except Refused as error:
        unread = str(error)
    return Events(sorted(found, key=lambda event: event.time), unread)


def _trades(trader: TradingClient, own: Own, since: int) -> Iterator[Event]:
    known, doubtful = own.orders()
    recorded = {fill.fill_id for fill in own.fills}
    ours: dict[str, bool] = dict.fromkeys(known, True)
    for fill in trader.fills(since):
        if fill.id in recorded:
            continue
        if fill.order_id not in ours:
            order = trader.order(fill.order_id, fill.symbol)
            ours[fill.order_id] = is_of(trader, order, doubtful)
        kind: Kind = "pending" if ours[fill.order_id] else "manual_trade"
        base, quote = currencies(fill.symbol)
        sign = 1 if fill.side == "buy" else -1
        text = f"a {fill.side} of {plain(fill.amount)} {base} at {plain(fill.price)} (order {fill.order_id})"
        yield Event(fill.time, base, sign * fill.amount, kind, text)
        yield Event(fill.time, quote, -sign * fill.cost, kind, text, rounding(fill.cost))
        yield Event(fill.time, fill.fee_currency or quote, -fill.fee, kind, text)


def is_of(trader: TradingClient, order: Order, client_ids: set[str]) -> bool:
    """Tell whether an order bears one of these client ids."""
    return any(trader.bears(order, client_id) for client_id in client_ids)


class Explanation(NamedTuple):
    """What a difference comes from."""

    events: list[Event]
    rest: Decimal
    """What they leave."""
    complete: bool
    """Whether that is nothing, but for rounding."""


def explain(difference: Decimal, events: Sequence[Event], settled: int, tolerance: Decimal) -> Explanation:
    """Return the events of one currency that make up a difference, or all of them and the rest that they leave.

    Events until `settled` (ns) may be in the balance already that was compared last, the earliest of them first: when
    it was read is known no better. What is pending is not, for it would have been a difference then.
    """
    pending = [event for event in events if event.kind == "pending"]
    others = [event for event in events if event.kind != "pending"]
    doubtful = sum(event.time <= settled for event in others)
    tried = [_explanation(difference, pending + others[first:], tolerance) for first in range(doubtful + 1)]
    return next((found for found in tried if found.complete), tried[-1])


def _explanation(difference: Decimal, events: list[Event], tolerance: Decimal) -> Explanation:
    rest = difference - sum((event.amount for event in events), Decimal(0))
    forgiven = tolerance + sum((event.rounding for event in events), Decimal(0))
    return Explanation(events, rest, complete=abs(rest) <= forgiven)


def plain(value: Decimal) -> str:
    """Return a number as digits, without an exponent and without zeros at its end."""
    return f"{value.normalize():f}" if value else "0"
