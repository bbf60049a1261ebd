"""Parity: a session, candle by candle, against the backtest of the same candles."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby, zip_longest
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from data.candles import fingerprints

VERDICTS = ("equal", "data", "signal", "fill", "cost")

_EARLIER = ("data", "signal")
"""Verdicts on a decision that explain the fills which it led to."""

_LEGS = ("close", "open", "exit")
"""In the order in which they are filled within a candle."""

_PAST = {"buy": "bought", "sell": "sold"}


class Tables(NamedTuple):
    """What a session recorded, or a backtest made; columns as in `data/tables.py`."""

    orders: pd.DataFrame
    fills: pd.DataFrame
    equity: pd.DataFrame


def compare(
    candles: pd.DataFrame,
    signal: pd.Series,
    decisions: pd.DataFrame,
    live: Tables,
    backtest: Tables,
    *,
    timeframe: pd.Timedelta,
    start: pd.Timestamp,
) -> pd.DataFrame:
    """Say of each candle from `start` (UTC) on whether the session did what the backtest does and, if not, why not.

    `candles` are today's, from the first that the session's strategy saw to the last that was decided; `signal` is
    what the strategy says of them today; `decisions` and `live` are the session's rows. Returned are the columns of the
    table parity but for run_id, symbol and compared_at.

    Compared is what happened in a candle: its decision, and the fills between its open and its close. What was caused
    earlier, as a position of another size ever since a fill at another price, is no difference of this candle: it is
    `equal`, and its detail says how far the equities are apart. Otherwise the verdict is the first of these that holds:

    - `data`: the candle was missed, or came too late to be decided, or was decided on other candles than there are
      today, as one came later or was revised;
    - `signal`: on the same candles the strategy said something else;
    - `fill`: there were other fills (side, amount, price; those in a row on one side count as one), or from this candle
      on the position is another though all fills agree;
    - `cost`: the same fills had another fee, or from this candle on the equity is another though all else agrees.

    Fills that differ have the verdict of the candle that decided them where that is `data` or `signal`: it came first.
    Equal means equal to the last bit; no signal is equal to no signal.
    """
    sides = _Side.of(live, candles.index, timeframe), _Side.of(backtest, candles.index, timeframe)
    decided = {row["ts"]: row for row in decisions.to_dict("records")}
    seen = dict(zip(candles.index, fingerprints(candles), strict=True))
    judge = _Judge(candles.index, seen, signal.to_dict(), decided, *sides, _orders(backtest.orders))
    instants = sorted({*candles.index[candles.index >= start], *decided})
    return pd.DataFrame([judge.row(ts) for ts in instants], columns=[*_Row._fields])


class _Row(NamedTuple):
    ts: pd.Timestamp
    verdict: str
    detail: str | None
    live_signal: float
    backtest_signal: float
    live_position: float
    backtest_position: float
    live_equity: float
    backtest_equity: float
    live_fills: str
    backtest_fills: str
    backtest_orders: str


class _Mark(NamedTuple):
    """The account at the close of a candle."""

    position: float = math.nan
    equity: float = math.nan


@dataclass(frozen=True)
class _Deal:
    """Fills in a row on one side, as one."""

    side: str
    amount: float
    price: float
    fee: float = field(compare=False)
    reason: str | None = field(compare=False)
    decision: pd.Timestamp = field(compare=False)

    @property
    def told(self) -> dict[str, Any]:
        """What the table says of it."""
        money = {"side": self.side, "amount": self.amount, "price": self.price, "fee": self.fee}
        return {**money, "reason": self.reason, "decision_ts": _instant(self.decision)}

    def __str__(self) -> str:
        return f"{_PAST[self.side]} {self.amount!r} at {self.price!r}"


@dataclass(frozen=True)
class _Side:
    """The session, or the backtest: what was dealt in each candle, and what there was at its close."""

    deals: dict[pd.Timestamp, list[_Deal]]
    marks: dict[pd.Timestamp, _Mark]

    @classmethod
    def of(cls, tables: Tables, index: pd.Index, timeframe: pd.Timedelta) -> _Side:
        equity = tables.equity
        marks = zip(equity["position"].astype(float), equity["equity"].astype(float), strict=True)
        return cls(_deals(tables, index, timeframe), dict(zip(equity["ts"], map(_Mark._make, marks), strict=True)))


def _deals(tables: Tables, index: pd.Index, timeframe: pd.Timedelta) -> dict[pd.Timestamp, list[_Deal]]:
    """Return the fills by the candle in which they happened: the first that closes later than they."""
    decided = dict(zip(tables.orders["order_id"], tables.orders["decision_ts"], strict=True))
    fills = tables.fills.assign(
        candle=np.searchsorted(_instants(index + timeframe), _instants(tables.fills["ts"]), side="right"),
        decision=tables.fills["order_id"].map(decided),
        leg=tables.fills["order_id"].map(_rank),
    )
    fills = fills[fills["candle"] < len(index)].sort_values(["candle", "ts", "leg"], kind="stable")
    found: dict[pd.Timestamp, list[_Deal]] = {}
    for (candle, _), rows in groupby(fills.to_dict("records"), key=lambda fill: (fill["candle"], fill["side"])):
        found.setdefault(index[candle], []).append(_sum(list(rows)))
    return found


def _instants(times: Any) -> Any:
    return pd.DatetimeIndex(times).tz_convert(None).to_numpy().astype("datetime64[us]")


def _rank(order_id: str) -> int:
    """Return the place of an order's leg in its candle; `2024-01-02T00:00:00Z-buy-open-2` is an open."""
    return next((rank for rank, leg in enumerate(_LEGS) if f"-{leg}" in order_id), len(_LEGS))


def _sum(fills: list[dict[Hashable, Any]]) -> _Deal:
    first, amounts = fills[0], [fill["amount"] for fill in fills]
    exact = [text for fill in fills if isinstance(text := fill.get("amount_exact"), str)]
    # 0.1 and 0.2 are 0.3 as decimals alone.
    amount = float(sum(map(Decimal, exact))) if len(exact) == len(fills) else math.fsum(amounts)
    prices = {float(fill["price"]) for fill in fills}
    cost = math.fsum(fill["amount"] * fill["price"] for fill in fills)
    return _Deal(
        side=first["side"],
        amount=amount,
        price=prices.pop() if len(prices) == 1 else cost / amount,
        fee=math.fsum(fill["fee"] for fill in fills),
        reason=_word(first.get("reason")),
        decision=first["decision"],
    )


def _orders(orders: pd.DataFrame) -> dict[Hashable, list[dict[str, Any]]]:
    """Return what the backtest ordered, by the candle that decided it, and what became of each order."""
    words = ["side", "type", "reason", "event"]
    found: dict[Hashable, list[dict[str, Any]]] = {}
    for row in orders.to_dict("records"):
        sizes = {name: None if math.isnan(row[name]) else row[name] for name in ("amount", "price")}
        found.setdefault(row["decision_ts"], []).append({name: _word(row[name]) for name in words} | sizes)
    return found


def _instant(time: Any) -> str | None:
    return None if pd.isna(time) else time.isoformat()


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


@dataclass
class _Judge:
    """Goes through the candles in their order, and knows what it said of those before."""

    index: pd.Index
    seen: Mapping[pd.Timestamp, str]
    """The fingerprint of the candles until each."""
    signals: Mapping[Hashable, float]
    decided: Mapping[pd.Timestamp, dict[Hashable, Any]]
    live: _Side
    backtest: _Side
    ordered: Mapping[Hashable, list[dict[str, Any]]]
    verdicts: dict[pd.Timestamp, str] = field(default_factory=dict)
    position_apart: bool = False
    equity_apart: bool = False

    def row(self, ts: pd.Timestamp) -> _Row:
        live, backtest = self.live.marks.get(ts, _Mark()), self.backtest.marks.get(ts, _Mark())
        verdict, detail = next(self._differences(ts, live, backtest), ("equal", ""))
        self.verdicts[ts] = verdict
        if ts in self.live.marks:
            self.position_apart = live.position != backtest.position
            self.equity_apart = live.equity != backtest.equity
        apart = f"equity apart by {live.equity - backtest.equity:+.6g}" if live.equity != backtest.equity else ""
        words = "; ".join(filter(None, (detail, apart if ts in self.live.marks else "")))
        signals = float(self.decided.get(ts, {}).get("signal", math.nan)), float(self.signals.get(ts, math.nan))
        done = ([deal.told for deal in side.deals.get(ts, [])] for side in (self.live, self.backtest))
        told = map(json.dumps, (*done, self.ordered.get(ts, [])))
        return _Row._make([ts, verdict, words or None, *signals, *_paired(live, backtest), *told])

    def _differences(self, ts: pd.Timestamp, live: _Mark, backtest: _Mark) -> Iterator[tuple[str, str]]:
        """Give verdict and words for all that differs in a candle, the cause before what follows from it."""
        if other := self._other_data(ts):
            yield "data", other
            return
        said, says = float(self.decided[ts]["signal"]), float(self.signals[ts])
        if said != says and not (math.isnan(said) and math.isnan(says)):
            yield "signal", f"the strategy said {said!r} and says {says!r}"
        ours, theirs = self.live.deals.get(ts, []), self.backtest.deals.get(ts, [])
        if ours != theirs:
            yield self._other_fills(ours, theirs)
            return
        if live.position != backtest.position and not self.position_apart:
            yield "fill", f"holds {live.position!r}, the backtest {backtest.position!r}, by the same fills"
        for mine, its in zip(ours, theirs, strict=True):
            if mine.fee != its.fee:
                yield "cost", f"paid a fee of {mine.fee!r}, the backtest {its.fee!r}"
        if live.equity != backtest.equity and not (self.equity_apart or self.position_apart):
            yield "cost", f"is worth {live.equity!r}, the backtest {backtest.equity!r}, by the same fills"

    def _other_data(self, ts: pd.Timestamp) -> str:
        decision = self.decided.get(ts)
        if decision is None:
            return "the candle came too late to be decided"
        if decision["reason"] == "missed":
            return str(decision["detail"] or "missed")
        if ts not in self.signals:
            return "the candle is in the lake no more"
        if decision["data_fingerprint"] == self.seen[ts]:
            return ""
        candles = self.index.searchsorted(ts, side="right")
        if decision["candles"] != candles:
            return f"decided on {decision['candles']} candles, of which there are {candles} today"
        return "a candle was revised since"

    def _other_fills(self, ours: Iterable[_Deal], theirs: Iterable[_Deal]) -> tuple[str, str]:
        mine, its = next(pair for pair in zip_longest(ours, theirs) if pair[0] != pair[1])
        decision = (its or mine).decision
        detail = f"{mine or 'nothing done'}, the backtest {its or 'nothing'}"
        cause = self.verdicts.get(decision, "")
        if cause in _EARLIER:
            return cause, f"{detail}; decided at {decision:%Y-%m-%d %H:%M}, where the {cause} was another"
        if mine is None and decision in self.decided:
            decided = self.decided[decision]
            detail += f": {decided['reason']}" + (f", {decided['detail']}" if decided["detail"] else "")
        return "fill", f"{detail}, after other positions" if self.position_apart else detail


def _paired(live: _Mark, backtest: _Mark) -> Iterable[float]:
    return (value for pair in zip(live, backtest, strict=True) for value in pair)
