"""The simulation once more, slow and obvious: what the compiled engine is held to, trade by trade.

Written from the words of `tasks.backtest.simulate` alone: Python lists and ifs, long and short spelt out, nothing
shared with the engine. Bars are positions; the limits that count days or seconds look up when each opens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
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
        opens_at: list[datetime] | None = None,
        timeframe: timedelta = timedelta(hours=1),
        max_position: float | None = None,
        max_order: float | None = None,
        max_orders_a_day: int | None = None,
        daily_loss: float | None = None,
        max_drawdown: float | None = None,
        cooldown: int = 0,
        max_deviation: float | None = None,
        max_signal_age: float | None = None,
        long_only: bool = False,
    ) -> None:
        self.bars, self.target = bars, target
        self.fee, self.slippage, self.fraction, self.fixed = fee, slippage, fraction, amount
        self.stop_loss, self.take_profit, self.trailing_stop = stop_loss, take_profit, trailing_stop
        self.step, self.min_amount, self.min_cost = amount_step, min_amount, min_cost
        self.opens_at = opens_at or [
            datetime(2024, 1, 1, tzinfo=UTC) + number * timeframe for number in range(len(bars))
        ]
        self.timeframe = timeframe
        self.max_position, self.max_order, self.max_orders_a_day = max_position, max_order, max_orders_a_day
        self.daily_loss, self.max_drawdown, self.cooldown = daily_loss, max_drawdown, cooldown
        self.max_deviation, self.max_signal_age, self.long_only = max_deviation, max_signal_age, long_only
        self.initial = cash
        self.cash, self.position = cash, 0.0
        self.best = 0.0
        self.exit_refused = False
        self.last_decision = -1
        self.acted = 0.0
        self.ruined = False
        self.last_stop: int | None = None
        self.lost_days: set[date] = set()
        self.drawn_down = False
        self.orders: list[Order] = []
        self.fills: list[Fill] = []
        self.trades: list[Trade] = []
        self.cashes: list[float] = []
        self.positions: list[float] = []
        self.equities: list[float] = []

    def run(self) -> Simulator:
        pending: tuple[float, str] | None = None
        for number, bar in enumerate(self.bars):
            if pending is not None:
                self.rebalance(number, number - 1, *pending)
            if self.position != 0 and not self.exit_refused:
                self.check_stops(number, bar)
            if self.position != 0:
                self.trades[-1].see(bar.low)
                self.trades[-1].see(bar.high)
                self.best = max(self.best, bar.high) if self.position > 0 else min(self.best, bar.low)
            self.cashes.append(self.cash)
            self.positions.append(self.position)
            self.equities.append(self.cash + self.position * bar.close)
            pending = self.decide(number)
        if self.position != 0:
            self.trades[-1].exits.append((self.bars[-1].close, abs(self.position)))
        if pending is not None:
            self.intend(*pending)
        return self

    def decide(self, number: int) -> tuple[float, str] | None:
        """Return the target to be traded at the next open, and why."""
        if self.ruined:
            return None
        wanted = self.target[number]
        if self.long_only and wanted < 0:
            wanted = 0.0
        must_leave = self.must_leave(number)
        if self.equities[number] <= 0:
            self.ruined = True
            return 0.0, "ruin"
        changed = not math.isnan(wanted) and wanted != self.acted
        if changed:
            self.acted = wanted
        if must_leave:
            return 0.0, must_leave
        return (wanted, "signal") if changed else None

    def day(self, number: int) -> date:
        return self.opens_at[number].date()

    def must_leave(self, number: int) -> str:
        """Note at a close which limits of loss are reached, and say for which of them the position is to be sold."""
        equity = self.equities[number]
        if self.daily_loss is not None:
            before = [self.equities[n] for n in range(number) if self.day(n) < self.day(number)]
            if equity <= (1 - self.daily_loss) * (before[-1] if before else self.initial):
                self.lost_days.add(self.day(number))
        if self.max_drawdown is not None:
            highest = max([self.initial, *self.equities])
            if equity <= (1 - self.max_drawdown) * highest:
                self.drawn_down = True
        if self.position == 0 or self.exit_refused:
            return ""
        if self.drawn_down:
            return "drawdown"
        return "daily_loss" if self.day(number) in self.lost_days else ""

    def why_not_enter(self, number: int, decision: int, price: float) -> str:
        now, decided = self.opens_at[number], self.opens_at[decision] + self.timeframe
        if self.drawn_down:
            return "the drawdown has reached"
        if self.day(number) in self.lost_days:
            return "the day's loss has reached"
        if self.last_stop is not None and number <= self.last_stop + self.cooldown:
            return "a stop was hit"
        if self.max_signal_age is not None and (now - decided).total_seconds() > self.max_signal_age:
            return "the signal is older"
        if self.max_deviation is not None and abs(price / self.bars[decision].close - 1) > self.max_deviation:
            return "off the close that was decided on"
        today = [order for order in self.orders if order.event == "filled" and self.day(order.bar) == self.day(number)]
        if self.max_orders_a_day is not None and len(today) >= self.max_orders_a_day:
            return "orders were placed on this day"
        return ""

    def cut(self, wanted: float, position: float, price: float) -> float:
        """Bring a larger position than the one held within the limits of position and order, in steps."""
        paid = price * (1 + self.slippage) if wanted > 0 else price * (1 - self.slippage)
        held, most = abs(position), abs(wanted)
        if self.max_position is not None:
            most = min(most, round_down(self.max_position / paid, self.step))
        if self.max_order is not None:
            room = round_down(self.max_order / paid, self.step)
            reach = held + room if self.step is None else float(Decimal(str(held)) + Decimal(str(room)))
            most = min(most, reach)
        return math.copysign(max(most, held), wanted)

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
                self.exit_refused = self.exit_refused or reason in ("daily_loss", "drawdown")
                return
        if target != 0:
            wanted = self.wanted_position(target, self.cash, self.position, price)
            why = ""
            if abs(wanted) > abs(self.position):
                less = self.cut(wanted, self.position, price)
                why = self.why_not_enter(number, decision, price)
                if not why and less == self.position:
                    why = "leave nothing to add"
                wanted = less
            self.order(number, decision, "market", None, price, wanted, reason, why)

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
            wanted = self.wanted_position(target, cash, position, price)
            change = (self.cut(wanted, position, price) if abs(wanted) > abs(position) else wanted) - position
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
        if self.position == 0 and kind == "stop":
            self.last_stop = number

    def order(
        self,
        number: int,
        decision: int,
        kind: str,
        trigger: float | None,
        market: float,
        wanted: float,
        reason: str,
        forbidden: str = "",
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
        why = forbidden or self.why_not(change, price, market)
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
