"""The ledger of a session: its orders, fills and decisions, as the lake keeps them.

It is read once and then kept in step with what is written. Every write is a commit that fails if another process wrote
to the same session since: two can never both believe that an order is theirs to send.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from operator import attrgetter
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.errors import LakeError
from data.signals import signals_table
from data.tables import TABLES
from data.views import read_unrecorded
from data.writer import Claim, Lake
from tasks.engine.books import Mark
from tasks.exchange.orders import Fill, Side
from tasks.exchange.units import MICROSECOND
from tasks.trade.decision import Decision
from tasks.trade.intent import Event, Intent

_RANK = {
    event: rank
    for rank, event in enumerate(
        ("intent", "unknown", "sent", "accepted", "partially_filled", "filled", "cancelled", "rejected")
    )
}
"""Events in the order in which they can follow each other."""


class LedgerFill(NamedTuple):
    """A fill, with what its order says of it. `at` is nanoseconds since 1970 UTC, in whole microseconds."""

    fill_id: str
    order_id: str
    trade_id: int
    decision: pd.Timestamp
    leg: str
    type: str
    reason: str
    at: int
    side: Side
    price: Decimal
    amount: Decimal
    fee: Decimal
    fee_currency: str
    maker: bool
    price_float: float
    """The same three as they stand in the lake, for the arithmetic of the engine."""
    amount_float: float
    fee_float: float


@dataclass
class Standing:
    """Where the exact sum of the fills stands: what is held, and in which round trip."""

    base: str
    position: Decimal = Decimal(0)
    trades: int = 0

    def take(self, side: Side, amount: Decimal, fee: Decimal, fee_currency: str) -> int:
        """Move the position by a fill and return the round trip that it belongs to, from 1."""
        self.trades += self.position == 0
        self.position += amount if side == "buy" else -amount
        if fee_currency == self.base:
            self.position -= fee
        return self.trades


class Ledger:
    """The orders, fills and decisions of one run.

    Writes return once they are on the disk. Raises LakeError where the lake cannot be read or written, or when another
    process wrote to this run; the ledger must then be opened anew.
    """

    def __init__(self, lake: Lake, run_id: str, symbol: str) -> None:
        self.run_id = run_id
        self.symbol = symbol
        self.base, _, quote = symbol.partition("/")
        self.quote = quote.partition(":")[0]
        self._lake = lake
        self._claims: dict[str, int] = {}
        self._events: dict[str, set[str]] = {}
        self._standing = Standing(self.base)
        self.orders: dict[str, Intent] = {}
        """By order_id, in the order in which they were intended."""
        self.fills: list[LedgerFill] = []
        """By time."""
        self._read_orders()
        self._read_fills()
        self.decisions: list[Decision] = self._read_decisions()
        """Oldest first."""
        decided = nanoseconds(self.decisions[-1].ts) if self.decisions else 0
        self.has_moved = bool(self.fills) and self.fills[-1].at >= decided
        """Whether round trips may have changed since they were written: fills were taken in, or were there when the
        ledger was opened, in the last candle that was decided or after it."""

    @property
    def position(self) -> Decimal:
        """What is held: the exact sum of the fills, less the fees paid in the base currency."""
        return self._standing.position

    def orders_of(self, decision: pd.Timestamp, leg: str) -> list[Intent]:
        """Return the attempts of one leg of a decision, the first first."""
        found = (order for order in self.orders.values() if order.decision == decision and order.leg == leg)
        return sorted(found, key=attrgetter("attempt"))

    def fills_of(self, intent: Intent) -> list[LedgerFill]:
        """Return the recorded fills of an order."""
        return [fill for fill in self.fills if fill.order_id == intent.order_id]

    def was_not_sent(self, intent: Intent) -> bool:
        """Tell whether an order was refused here, before there was an intent to send it."""
        return self._events[intent.order_id] == {"rejected"}

    def cash(self, start: float) -> Decimal:
        """Return the money (quote currency) that is left of what was there at the start."""
        moved = Decimal(repr(start))
        for fill in self.fills:
            cost = fill.price * fill.amount
            moved += cost if fill.side == "sell" else -cost
            moved -= fill.fee if fill.fee_currency == self.quote else 0
        return moved

    def fills_frame(self) -> pd.DataFrame:
        """Return the fills by time, in the columns of the table fills."""
        names = [name for name in TABLES["fills"].schema.names if name != "run_id"]
        return pd.DataFrame([self._fill_row(fill) for fill in self.fills], columns=names)

    def record_trades(self, trades: pd.DataFrame) -> None:
        """Write down those round trips that are new, or were traded in, since they were written."""
        known = {row["trade_id"]: _extent(row) for row in self._rows("trades", _EXTENT).to_pylist()}
        changed = [known.get(row["trade_id"]) != _extent(row) for row in trades.to_dict("records")]
        if any(changed):
            self._append("trades", trades[changed], again=True)
        self.has_moved = False

    def correct_equity(self, equity: pd.DataFrame) -> None:
        """Write the account anew at those closes at which it was written without fills that were found later."""
        account = ["cash", "position"]
        known = self._rows("equity", ["ts", *account]).to_pandas().set_index("ts").reindex(equity["ts"])
        late = known["cash"].notna().to_numpy() & (known.to_numpy() != equity[account].to_numpy()).any(axis=1)
        if late.any():
            self._lake.upsert("equity", self._of_run(equity[late]))

    def intend(self, intent: Intent) -> None:
        """Write down an order before anything is sent."""
        intent.event = "intent"
        self._write_events(intent, ["intent"], intent.intended, None)

    def note(self, intent: Intent, *events: Event, at: int, reason: str | None = None) -> None:
        """Write down what happened to an order, all in one commit, at the instant `at` (ns).

        `reason` says why it was rejected or cancelled. A final event comes after the fills that belong to it.
        """
        intent.event = events[-1]
        if reason and events[-1] in ("rejected", "cancelled"):
            intent.ended = reason
        self._write_events(intent, events, at, reason)

    def take_in(self, intent: Intent, fills: Sequence[Fill]) -> list[LedgerFill]:
        """Write down those fills of an order that are new, and return them."""
        known = {fill.fill_id for fill in self.fills}
        new = [fill for fill in sorted(fills, key=attrgetter("time", "id")) if fill.id not in known]
        if not new:
            return []
        standing = Standing(self.base, self._standing.position, self._standing.trades)
        taken = [self._taken(intent, fill, standing) for fill in new]
        self._append("fills", pd.DataFrame([self._fill_row(fill) for fill in taken]))
        self._standing, self.has_moved = standing, True
        self.fills.extend(taken)
        self.fills.sort(key=attrgetter("at"))
        intent.filled += sum((fill.amount for fill in taken), Decimal(0))
        return taken

    def decide(self, decisions: Sequence[Decision], marks: Sequence[Mark], signals: pd.DataFrame) -> None:
        """Write down decisions, with the account at each close and the rows of a signals frame that they saw.

        The decisions come last: a process killed before them decides again, and what it left is not written twice.
        """
        index = pd.DatetimeIndex([decision.ts for decision in decisions])
        self._write_once("equity", _equity_rows(decisions, marks))
        self._write_once("signals", signals_table(signals.loc[index], self.symbol))
        self._append("decisions", pd.DataFrame([asdict(decision) for decision in decisions]))
        self.decisions.extend(decisions)
        self.decisions.sort(key=attrgetter("ts"))

    def _write_once(self, name: str, rows: pa.Table | pd.DataFrame) -> None:
        """Write rows of the next decisions, of which a killed process may have left some: it had the same claim."""
        claim = Claim(self._claim, self._claims["decisions"] + 1)
        rows = self._of_run(rows)
        if not self._lake.append(name, rows, claim):
            self._lake.upsert(name, rows)

    def _append(self, name: str, rows: pd.DataFrame, *, again: bool = False) -> None:
        """Commit rows; `again` where some of them may be there already."""
        version = self._claims[name] + 1
        write = self._lake.upsert if again else self._lake.append
        if not write(name, self._of_run(rows), Claim(self._claim, version)):
            raise LakeError(f"another process writes to session {self.run_id} ({self.symbol}); one at a time can")
        self._claims[name] = version

    def _of_run(self, rows: pa.Table | pd.DataFrame) -> pa.Table | pd.DataFrame:
        if isinstance(rows, pd.DataFrame):
            return rows.assign(run_id=self.run_id)
        return rows.append_column("run_id", pa.repeat(pa.scalar(self.run_id), rows.num_rows))

    @property
    def _claim(self) -> str:
        return f"session/{self.run_id}"

    def _write_events(self, intent: Intent, events: Sequence[Event], at: int, reason: str | None) -> None:
        rows = pd.DataFrame([self._order_row(intent, event, at, reason) for event in events])
        known = self._events.setdefault(intent.order_id, set())
        self._append("orders", rows, again=bool(known & set(events)))
        known |= set(events)
        self.orders[intent.order_id] = intent

    def _order_row(self, intent: Intent, event: Event, at: int, reason: str | None) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "order_id": intent.order_id,
            "event": event,
            "ts": instant(at),
            "decision_ts": intent.decision,
            "side": intent.side,
            "type": intent.type,
            "amount": float(intent.amount),
            "price": None if intent.price is None else float(intent.price),
            "reason": reason or intent.reason,
            "leg": intent.leg,
            "attempt": intent.attempt,
            "client_id": intent.client_id,
            "exchange_id": intent.exchange_id,
            "amount_exact": f"{intent.amount:f}",
            "price_exact": None if intent.price is None else f"{intent.price:f}",
            "deadline": pd.NaT if intent.deadline is None else instant(intent.deadline),
            "filled_exact": f"{intent.filled:f}",
        }

    def _taken(self, intent: Intent, fill: Fill, standing: Standing) -> LedgerFill:
        return LedgerFill(
            fill.id,
            intent.order_id,
            standing.take(fill.side, fill.amount, fill.fee, fill.fee_currency),
            intent.decision,
            intent.leg,
            intent.type,
            intent.reason,
            fill.time // MICROSECOND * MICROSECOND,
            fill.side,
            fill.price,
            fill.amount,
            fill.fee,
            fill.fee_currency,
            fill.maker,
            float(fill.price),
            float(fill.amount),
            float(fill.fee),
        )

    def _fill_row(self, fill: LedgerFill) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "fill_id": fill.fill_id,
            "order_id": fill.order_id,
            "trade_id": fill.trade_id,
            "ts": instant(fill.at),
            "side": fill.side,
            "price": fill.price_float,
            "amount": fill.amount_float,
            "fee": fill.fee_float,
            "fee_currency": None if fill.fee_currency in ("", self.quote) else fill.fee_currency,
            "liquidity": "maker" if fill.maker else "taker",
            "reason": fill.reason,
            "price_exact": f"{fill.price:f}",
            "amount_exact": f"{fill.amount:f}",
            "fee_exact": f"{fill.fee:f}",
        }

    def _rows(self, name: str, columns: Sequence[str]) -> pa.Table:
        """Read this run's rows of a table, recorded or not, and the claim that goes with them."""
        delta = self._lake.table(name)
        self._claims[name] = 0 if delta is None else delta.transaction_version(self._claim) or 0
        return read_unrecorded(self._lake, name, delta, self.run_id, columns)

    def _read_orders(self) -> None:
        rows = self._rows("orders", TABLES["orders"].schema.names).to_pylist()
        found: dict[str, Intent] = {}
        for row in sorted(rows, key=lambda row: _RANK[row["event"]]):
            intent = found.setdefault(row["order_id"], self._intent(row))
            self._events.setdefault(row["order_id"], set()).add(row["event"])
            intent.event = row["event"]
            intent.exchange_id = row["exchange_id"] or intent.exchange_id
            if intent.event in ("rejected", "cancelled"):
                intent.ended = row["reason"]
        self.orders = dict(sorted(found.items(), key=lambda item: item[1].intended))

    def _intent(self, row: dict[str, Any]) -> Intent:
        return Intent(
            self.run_id,
            self.symbol,
            pd.Timestamp(row["decision_ts"]).tz_convert("UTC"),
            row["side"],
            row["leg"],
            row["type"],
            Decimal(row["amount_exact"]),
            None if row["price_exact"] is None else Decimal(row["price_exact"]),
            row["reason"],
            row["attempt"],
            nanoseconds(row["ts"]),
            None if row["deadline"] is None else nanoseconds(row["deadline"]),
            row["event"],
        )

    def _read_fills(self) -> None:
        rows = self._rows("fills", TABLES["fills"].schema.names).to_pylist()
        for row in sorted(rows, key=lambda row: (row["ts"], row["trade_id"])):
            intent = self.orders[row["order_id"]]
            fill = self._fill(intent, row)
            self._standing.take(fill.side, fill.amount, fill.fee, fill.fee_currency)
            intent.filled += fill.amount
            self.fills.append(fill)

    def _fill(self, intent: Intent, row: dict[str, Any]) -> LedgerFill:
        return LedgerFill(
            row["fill_id"],
            row["order_id"],
            row["trade_id"],
            intent.decision,
            intent.leg,
            intent.type,
            row["reason"],
            nanoseconds(row["ts"]),
            row["side"],
            Decimal(row["price_exact"]),
            Decimal(row["amount_exact"]),
            Decimal(row["fee_exact"]),
            row["fee_currency"] or self.quote,
            row["liquidity"] == "maker",
            row["price"],
            row["amount"],
            row["fee"],
        )

    def _read_decisions(self) -> list[Decision]:
        rows = self._rows("decisions", [field.name for field in fields(Decision)])
        columns = [_values(field.name, rows[field.name]) for field in fields(Decision)]
        return sorted((Decision(*row) for row in zip(*columns, strict=True)), key=attrgetter("ts"))


def instant(at: int) -> pd.Timestamp:
    """Return nanoseconds since 1970 as the UTC instant that the lake keeps, in whole microseconds."""
    return pd.Timestamp(at // MICROSECOND, unit="us", tz="UTC")


def nanoseconds(moment: Any) -> int:
    """Return an instant as nanoseconds since 1970."""
    return pd.Timestamp(moment).value


def microseconds(moment: pd.Timestamp) -> int:
    """Return an instant as microseconds since 1970."""
    return moment.value // MICROSECOND


def _equity_rows(decisions: Sequence[Decision], marks: Iterable[Mark]) -> pd.DataFrame:
    rows = [
        (decision.ts, mark.cash, mark.position, decision.close, mark.equity, mark.drawdown)
        for decision, mark in zip(decisions, marks, strict=True)
    ]
    return pd.DataFrame(rows, columns=["ts", "cash", "position", "price", "equity", "drawdown"])


_EXTENT = ("trade_id", "status", "amount", "fees", "entry_order_id", "exit_order_id")


def _extent(trade: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Return what changes of a round trip when it is traded in."""
    return tuple(None if pd.isna(trade[name]) else trade[name] for name in _EXTENT)


def _values(name: str, column: pa.ChunkedArray) -> list[Any]:
    """Return a column's values as a decision has them."""
    if pa.types.is_timestamp(column.type):
        return list(pd.DatetimeIndex(column.to_pandas()))
    if name == "signal":
        column = pc.fill_null(column, float("nan"))
    values: list[Any] = column.to_pylist()
    return values
