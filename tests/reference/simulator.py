"""The simulation once more, slow and obvious: what the compiled engine is held to, trade by trade.

Written from the words of `tasks.backtest.simulate` alone: Python lists and ifs, long and short spelt out, nothing
shared with the engine. Bars are positions, not instants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal


@dataclass
class Bar:
    open: float
    high: float
    low: float
    close: float


@dataclass
class Order:
    event: str
    bar: int
    decision: int
    side: str
    type: str
    amount: float
    trigger: float | None
    reason: str


@dataclass
class Fill:
    bar: int
    side: str
    price: float
    amount: float
    fee: float
    reason: str
    trade: int


@dataclass
class Trade:
    side: str
    entry_bar: int
    decision: int
    exit_bar: int | None = None
    exit_reason: str | None = None
    entries: list[tuple[float, float]] = field(default_factory=list)
    exits: list[tuple[float, float]] = field(default_factory=list)
    fees: float = 0.0
    returns_seen: list[float] = field(default_factory=lambda: [0.0])

    @property
    def amount(self) -> float:
        return math.fsum(amount for _, amount in self.entries)

    @property
    def entry_price(self) -> float:
        return average(self.entries)

    @property
    def exit_price(self) -> float:
        return average(self.exits)

    @property
    def profit(self) -> float:
        entered = math.fsum(price * amount for price, amount in self.entries)
        left = math.fsum(price * amount for price, amount in self.exits)
        return (left - entered if self.side == "long" else entered - left) - self.fees

    def see(self, price: float) -> None:
        gain = price / self.entry_price - 1
        self.returns_seen.append(gain if self.side == "long" else -gain)


def average(parts: list[tuple[float, float]]) -> float:
    price, total = parts[0]
    for next_price, amount in parts[1:]:
        price = (price * total + next_price * amount) / (total + amount)
        total += amount
    return price


def round_down(amount: float, step: float | None) -> float:
    """Round towards 0, in decimal arithmetic; noise beyond 12 digits is none of the amount's."""
    if step is None:
        return amount
    size = Decimal(f"{abs(amount):.12g}")
    steps = (size / Decimal(str(step))).to_integral_value(ROUND_FLOOR)
    return math.copysign(float(steps * Decimal(str(step))), amount)


class Simulator:
    """One account, one market; `run` steps through the bars."""

    def __init__(
        self,
        bars: list[Bar],
        target: list[float],
        *,
        cash: float,
        fee: float = 0.0,
        slippage: float = 0.0,
        fraction: float = 1.0,
        amount: float | None = None,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        trailing_stop: float | None = None,
        amount_step: float | None = None,
        min_amount: float | None = None,
        min_cost: float | None = None,
    ) -> None:
        self.bars, self.target = bars, target
        self.fee, self.slippage, self.fraction, self.fixed = fee, slippage, fraction, amount
        self.stop_loss, self.take_profit, self.trailing_stop = stop_loss, take_profit, trailing_stop
        self.step, self.min_amount, self.min_cost = amount_step, min_amount, min_cost
        self.cash, self.position = cash, 0.0
        self.best = 0.0
        self.exit_refused = False
        self.last_decision = -1
        self.orders: list[Order] = []
        self.fills: list[Fill] = []
        self.trades: list[Trade] = []
        self.cashes: list[float] = []
        self.positions: list[float] = []
        self.equities: list[float] = []

    def run(self) -> Simulator:
        acted = 0.0
        pending: tuple[float, str] | None = None
        ruined = False
        for number, bar in enumerate(self.bars):
            if pending is not None:
                self.rebalance(number, number - 1, *pending)
                pending = None
            if self.position != 0 and not self.exit_refused:
                self.check_stops(number, bar)
            if self.position != 0:
                self.trades[-1].see(bar.low)
                self.trades[-1].see(bar.high)
                self.best = max(self.best, bar.high) if self.position > 0 else min(self.best, bar.low)
            equity = self.cash + self.position * bar.close
            self.cashes.append(self.cash)
            self.positions.append(self.position)
            self.equities.append(equity)
            wanted = self.target[number]
            if ruined:
                continue
            if equity <= 0:
                ruined = True
                pending = (0.0, "ruin")
            elif not math.isnan(wanted) and wanted != acted:
                acted = wanted
                pending = (wanted, "signal")
        if self.position != 0:
            self.trades[-1].exits.append((self.bars[-1].close, abs(self.position)))
        if pending is not None:
            self.intend(*pending)
        return self

    def wanted_position(self, target: float, cash: float, position: float, price: float) -> float:
        if self.fixed is not None:
            return round_down(target * self.fixed, self.step)
        equity = max(cash + position * price, 0.0)
        return round_down(target * self.fraction * equity / (price * (1 + self.slippage) * (1 + self.fee)), self.step)

    def rebalance(self, number: int, decision: int, target: float, reason: str) -> None:
        price = self.bars[number].open
        if (self.position > 0 and target <= 0) or (self.position < 0 and target >= 0):
            self.order(number, decision, "market", None, price, 0.0, reason)
            if self.position != 0:
                return
        if target != 0:
            wanted = self.wanted_position(target, self.cash, self.position, price)
            self.order(number, decision, "market", None, price, wanted, reason)

    def intend(self, target: float, reason: str) -> None:
        last = len(self.bars) - 1
        price = self.bars[last].close
        cash, position = self.cash, self.position
        if (position > 0 and target <= 0) or (position < 0 and target >= 0):
            side = "sell" if position > 0 else "buy"
            self.orders.append(Order("intent", last, last, side, "market", abs(position), None, reason))
            paid = price * (1 - self.slippage) if position > 0 else price * (1 + self.slippage)
            cash += position * paid - self.fee * paid * abs(position)
            position = 0.0
        if target != 0:
            change = self.wanted_position(target, cash, position, price) - position
            side = "buy" if change > 0 else "sell"
            self.orders.append(Order("intent", last, last, side, "market", abs(change), None, reason))

    def check_stops(self, number: int, bar: Bar) -> None:
        entry = self.trades[-1].entry_price
        stops: list[tuple[float, str]] = []
        if self.position > 0:
            if self.stop_loss is not None:
                stops.append((entry * (1 - self.stop_loss), "stop_loss"))
            if self.trailing_stop is not None:
                stops.append((self.best * (1 - self.trailing_stop), "trailing_stop"))
            stop, reason = max(stops, key=lambda s: s[0], default=(None, ""))
            if stop is not None and bar.low <= stop:
                return self.leave(number, "stop", stop, min(stop, bar.open), reason)
            if self.take_profit is not None and bar.high >= entry * (1 + self.take_profit):
                self.trades[-1].see(bar.low)
                goal = entry * (1 + self.take_profit)
                return self.leave(number, "limit", goal, goal, "take_profit")
        else:
            if self.stop_loss is not None:
                stops.append((entry * (1 + self.stop_loss), "stop_loss"))
            if self.trailing_stop is not None:
                stops.append((self.best * (1 + self.trailing_stop), "trailing_stop"))
            stop, reason = min(stops, key=lambda s: s[0], default=(None, ""))
            if stop is not None and bar.high >= stop:
                return self.leave(number, "stop", stop, max(stop, bar.open), reason)
            if self.take_profit is not None and bar.low <= entry * (1 - self.take_profit):
                self.trades[-1].see(bar.high)
                goal = entry * (1 - self.take_profit)
                return self.leave(number, "limit", goal, goal, "take_profit")
        return None

    def leave(self, number: int, kind: str, trigger: float, price: float, reason: str) -> None:
        self.order(number, self.last_decision, kind, trigger, price, 0.0, reason)
        self.exit_refused = self.position != 0

    def order(
        self, number: int, decision: int, kind: str, trigger: float | None, market: float, wanted: float, reason: str
    ) -> None:
        change = wanted - self.position
        if self.step is not None and wanted != 0 and self.position != 0:
            change = float(Decimal(str(wanted)) - Decimal(str(self.position)))
        side = "buy" if change > 0 else "sell"
        if kind == "limit":
            price = market
        elif side == "buy":
            price = market * (1 + self.slippage)
        else:
            price = market * (1 - self.slippage)
        why = self.why_not(change, price, market)
        if why:
            self.orders.append(Order("rejected", number, decision, side, kind, abs(change), trigger, why))
            return
        self.orders.append(Order("filled", number, decision, side, kind, abs(change), trigger, reason))
        self.fill(number, decision, side, price, abs(change), wanted, reason)
        self.last_decision = decision
        self.exit_refused = False

    def why_not(self, change: float, price: float, market: float) -> str:
        equity = self.cash + self.position * market
        if change == 0:
            return "rounds down to 0" if equity > 0 else "no equity"
        if self.min_amount is not None and abs(change) < self.min_amount:
            return "amount is below"
        if self.min_cost is not None and abs(change) * price < self.min_cost:
            return "cost is below"
        grows = self.position == 0 or (self.position > 0) == (change > 0)
        free = equity - abs(self.position) * market
        if self.fixed is not None and grows and abs(change) * price * (1 + self.fee) > free + 1e-12 * equity:
            return "cash does not cover"
        return ""

    def fill(
        self, number: int, decision: int, side: str, price: float, amount: float, wanted: float, reason: str
    ) -> None:
        fee = self.fee * price * amount
        if self.position == 0:
            self.trades.append(Trade("long" if side == "buy" else "short", number, decision))
            self.best = price
        trade = self.trades[-1]
        if (trade.side == "long") == (side == "buy"):
            trade.entries.append((price, amount))
        else:
            trade.exits.append((price, amount))
            trade.see(price)
        trade.fees += fee
        self.cash += (price * amount if side == "sell" else -price * amount) - fee
        self.position = wanted
        if wanted == 0:
            trade.exit_bar, trade.exit_reason = number, reason
        self.fills.append(Fill(number, side, price, amount, fee, reason, len(self.trades)))
