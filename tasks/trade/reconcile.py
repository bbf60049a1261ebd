"""The ledger of an account compared with the exchange: every difference is written down, explained or stops trading.

An account is what all live sessions with its key do. What its ledger expects of a currency is what the exchange told
at the last comparison that was settled, and what the sessions' fills have moved since.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from data.errors import BadInput
from data.views import read
from data.writer import Lake
from tasks.exchange.dialect import FINEST
from tasks.exchange.rules import MarketRules
from tasks.exchange.trading import TradingClient
from tasks.exchange.units import MICROSECOND, SECOND
from tasks.trade.explanation import Events, Own, explain, find_events, is_of, plain, read_own
from tasks.trade.live import LiveBroker

UNEXPLAINED = "unexplained"

_SLACK = 10 * SECOND
"""By so much, in our time, the instant of a comparison and of what moved a balance may be told off."""

_MONEY = Context(prec=60)


class Difference(NamedTuple):
    """How ledger and exchange compare in one currency."""

    currency: str
    """For a foreign order the market in which it stands."""
    kind: str
    """opening, equal, deposit, withdrawal, manual_trade, rounding, pending or unexplained; or foreign_order."""
    expected: Decimal
    actual: Decimal
    detail: str

    @property
    def stops(self) -> bool:
        """Whether nothing may be traded for this currency until it is explained or accepted."""
        return self.kind == UNEXPLAINED


class Row(NamedTuple):
    """The last comparison of a currency that was written down."""

    currency: str
    ts: pd.Timestamp
    """By the exchange's clock, UTC."""
    kind: str
    expected: Decimal
    actual: Decimal
    flows: Decimal
    detail: str

    @property
    def at(self) -> int:
        """The same in nanoseconds since 1970."""
        return self.ts.as_unit("ns").value


class _Look(NamedTuple):
    """What a balance is, and what it should be."""

    currency: str
    base: Row | None
    """The last row that was settled."""
    last: Row | None
    expected: Decimal
    actual: Decimal
    flows: Decimal

    @property
    def differs(self) -> bool:
        return self.actual != self.expected


def reconcile(
    lake: Lake, broker: LiveBroker | TradingClient, account: str, markets: Mapping[str, MarketRules]
) -> list[Difference]:
    """Compare the currencies of these markets with what the account holds, and write down what is new.

    One Difference a currency, and one for each open order that no session made. A difference is looked at twice before
    it is judged, as a fill may have come between. Settle open and doubtful orders before. Raises TryLater and Refused
    where the exchange does not answer, LakeError.
    """
    trader = broker.trader if isinstance(broker, LiveBroker) else broker
    with localcontext(_MONEY):
        own = read_own(lake, account)
        looks, now = _looks(lake, trader, account, own, markets)
        if any(look.differs for look in looks):
            own = read_own(lake, account)
            looks, now = _looks(lake, trader, account, own, markets)
        differing = [look for look in looks if look.differs and look.base is not None]
        slack = int(_SLACK * trader.pace)
        since = min((look.base.at for look in differing if look.base is not None), default=now) - slack
        events = find_events(trader, own, since) if differing else Events([], "")
        judged = [(look, _judged(look, own, events, slack, _step(look.currency, markets))) for look in looks]
        _write(lake, account, now, [(look, found) for look, found in judged if _is_news(look, found)])
        return [*(found for _, found in judged), *_foreign_orders(trader, own)]


def accept(lake: Lake, account: str, currency: str) -> Difference:
    """Take a balance as it was when it could not be explained: a person has looked.

    What has moved since is compared with it at the next `reconcile`. Raises BadInput where there is no such difference.
    """
    last = _rows(lake, account).get(currency, (None, None))[0]
    if last is None or last.kind != UNEXPLAINED:
        raise BadInput(f"account {account} has no unexplained difference of {currency}: `jarvis reconcile` compares")
    detail = f"{currency}: {plain(last.actual)} accepted, where {plain(last.expected)} was expected"
    found = Difference(currency, "accepted", last.expected, last.actual, detail)
    look = _Look(currency, None, last, last.expected, last.actual, last.flows)
    _write(lake, account, last.at, [(look, found)])
    return found


def latest(lake: Lake, account: str) -> list[Row]:
    """Return the last comparison of each currency of an account, by currency."""
    return [last for _, (last, _) in sorted(_rows(lake, account).items())]


def _rows(lake: Lake, account: str) -> Mapping[str, tuple[Row, Row | None]]:
    """Return by currency the last row, and the last one that was settled."""
    return _rows_of(lake.root, account, lake.version("reconciliations"))


@functools.lru_cache(maxsize=8)
def _rows_of(root: Path, account: str, version: int) -> Mapping[str, tuple[Row, Row | None]]:
    """Return the same as of this version of the table, or a newer one."""
    query = """SELECT currency, epoch_us(ts) AS us, kind, expected, actual, flows, detail FROM (
        SELECT *, row_number() OVER (PARTITION BY currency, kind = 'unexplained' ORDER BY ts DESC) AS number
        FROM reconciliations WHERE account = ?) WHERE number = 1 ORDER BY ts"""
    found: dict[str, tuple[Row, Row | None]] = {}
    rows = read(Lake(root), query, [account], tables={"reconciliations"}).to_pylist() if version >= 0 else []
    for row in rows:
        ts = pd.Timestamp(row["us"], unit="us", tz="UTC")
        expected, actual, flows = (Decimal(row[name]) for name in ("expected", "actual", "flows"))
        told = Row(row["currency"], ts, row["kind"], expected, actual, flows, row["detail"])
        _, settled = found.get(told.currency, (None, None))
        found[told.currency] = told, settled if told.kind == UNEXPLAINED else told
    return found


def _looks(
    lake: Lake, trader: TradingClient, account: str, own: Own, markets: Mapping[str, MarketRules]
) -> tuple[list[_Look], int]:
    """Compare every currency of the markets once; and when, by the exchange's clock (ns)."""
    rows, now = _rows(lake, account), trader.now()
    balances = trader.balance()
    looks = []
    for currency in sorted({name for rules in markets.values() for name in (rules.base, rules.quote)}):
        last, base = rows.get(currency, (None, None))
        actual = balances[currency].total if currency in balances else Decimal(0)
        flows = own.flows.get(currency, Decimal(0))
        expected = actual if base is None else base.actual + flows - base.flows
        looks.append(_Look(currency, base, last, expected, actual, flows))
    return looks, now


def _judged(look: _Look, own: Own, events: Events, slack: int, step: Decimal) -> Difference:
    """Say what a difference comes from, if there is one."""
    told = f"{look.currency}: the exchange tells {plain(look.actual)}"
    if look.base is None:
        return _difference(look, "opening", f"{told}, where the account begins")
    if not look.differs:
        return _difference(look, "equal", f"{told}, as expected")
    difference = look.actual - look.expected
    tolerance = own.rounding(look.currency, look.base.at - slack, step)
    moved = [event for event in events.found if event.currency == look.currency and event.time >= look.base.at - slack]
    found = explain(difference, moved, look.base.at + slack, tolerance)
    causes = ", ".join(dict.fromkeys(event.text for event in found.events))
    told += f", where {plain(look.expected)} was expected"
    if not found.complete:
        words = [f"{plain(abs(found.rest))} {'more' if found.rest > 0 else 'less'} cannot be explained"]
        words += [f"besides {causes}"] * bool(causes) + [events.unread] * bool(events.unread)
        return _difference(look, UNEXPLAINED, f"{told}: {'; '.join(words)}")
    kinds = {event.kind for event in found.events}
    if "pending" in kinds:
        return _difference(look, "pending", f"{told}: {causes}, which its session has yet to take in")
    if not kinds:
        return _difference(look, "rounding", f"{told}: {plain(difference)} of rounding by the exchange")
    kind = next(name for name in ("manual_trade", "withdrawal", "deposit") if name in kinds)
    return _difference(look, kind, f"{told}: {causes}")


def _difference(look: _Look, kind: str, detail: str) -> Difference:
    return Difference(look.currency, kind, look.expected, look.actual, detail)


def _is_news(look: _Look, found: Difference) -> bool:
    """Tell whether a comparison says more than the last one that was written down."""
    if found.kind == "pending":
        return False
    if look.last is None or look.base is None:
        return True
    if found.kind == "equal":
        return look.flows != look.base.flows or look.last.kind == UNEXPLAINED
    if found.kind == UNEXPLAINED and look.last.kind == UNEXPLAINED:
        return (look.last.expected, look.last.actual) != (look.expected, look.actual)
    return True


def _write(lake: Lake, account: str, now: int, news: list[tuple[_Look, Difference]]) -> None:
    """Append the rows of these comparisons; no two of a currency bear the same instant."""
    if not news:
        return
    rows = []
    for look, found in news:
        at = now if look.last is None else max(now, look.last.at + MICROSECOND)
        rows.append(
            {
                "account": account,
                "currency": found.currency,
                "ts": pd.Timestamp(at // MICROSECOND, unit="us", tz="UTC"),
                "kind": found.kind,
                "expected": plain(found.expected),
                "actual": plain(found.actual),
                "difference": float(found.actual - found.expected),
                "flows": plain(look.flows),
                "detail": found.detail,
            }
        )
    lake.append("reconciliations", pd.DataFrame(rows))


def _foreign_orders(trader: TradingClient, own: Own) -> list[Difference]:
    """Return the open orders that no session made. They move no balance until they fill, and are no rows."""
    orders = trader.open_orders()
    if not orders:
        return []
    known, doubtful = own.orders()
    foreign = [order for order in orders if order.id not in known and not is_of(trader, order, doubtful)]
    return [
        Difference(
            order.request.symbol,
            "foreign_order",
            Decimal(0),
            Decimal(0),
            f"{order.request.symbol}: no session made the open order {order.id} "
            f"to {order.request.side} {plain(order.request.amount)}",
        )
        for order in foreign
    ]


def _step(currency: str, markets: Mapping[str, MarketRules]) -> Decimal:
    """Return the step of amounts of a currency, the largest of its markets."""
    return max((rules.amount_step for rules in markets.values() if rules.base == currency), default=FINEST)
