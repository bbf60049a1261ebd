"""The simulation once more, slow and obvious: what the compiled engine is held to, trade by trade.

Written from the words of `tasks.backtest.simulate` alone: Python lists and ifs, long and short spelt out, nothing
shared with the engine. Bars are positions; the limits that count days or seconds look up when each opens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from tests.reference.costs import Costs, Tier


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
class Waiting:
    """An order that is not filled, or not whole: an entry at its limit, or any for lack of volume."""

    side: str
    type: str
    limit: float | None
    amount: float
    left: float
    wanted: float
    decision: int
    since: int
    reason: str
    at_opens: bool
    fills: int = 0
    closes: bool = False
    """What a signal wants comes after it."""


@dataclass
class Fill:
    bar: int
    side: str
    price: float
    amount: float
    fee: float
    reason: str
    trade: int
    liquidity: str
    number: int


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
    carry: float = 0.0
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
        return (left - entered if self.side == "long" else entered - left) - self.fees - self.carry

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
    """Round towards 0, in decimal arithmetic; noise beyond 14 digits is none of the amount's."""
    if step is None:
        return amount
    size = Decimal(f"{abs(amount):.14g}")
    steps = (size / Decimal(str(step))).to_integral_value(ROUND_FLOOR)
    return math.copysign(float(steps * Decimal(str(step))), amount)


def round_price(price: float, step: float | None, side: str) -> float:
    """Round a limit price to the step, in favour of the one who orders; never to 0."""
    if step is None:
        return price
    exact, unit = Decimal(f"{price:.14g}"), Decimal(str(step))
    steps = (exact / unit).to_integral_value(ROUND_FLOOR if side == "buy" else ROUND_CEILING)
    return float(steps * unit) or price


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
        max_bars: int | None = None,
        long_only: bool = False,
        order_type: str = "market",
        limit_offset: float = 0.0,
        limit_bars: int | None = None,
        on_timeout: str = "cancel",
        price_step: float | None = None,
        detail: list[list[Bar] | None] | None = None,
        maker_fee: float | None = None,
        fee_tiers: list[Tier] | None = None,
        volumes: list[float] | None = None,
        impact: tuple[str, float] | None = None,
        borrow: float | None = None,
        funding: float | list[float] | None = None,
        funding_hours: float = 8.0,
        max_volume: float | None = None,
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
        self.max_bars = max_bars
        self.order_type, self.limit_offset, self.limit_bars = order_type, limit_offset, limit_bars
        self.on_timeout, self.price_step = on_timeout, price_step
        self.detail = detail or [None] * len(bars)
        self.costs = Costs(
            bars,
            self.opens_at,
            timeframe,
            fee=fee,
            maker_fee=maker_fee,
            fee_tiers=fee_tiers,
            volumes=volumes,
            impact=impact,
            borrow=borrow,
            funding=funding,
            funding_hours=funding_hours,
        )
        self.max_volume, self.volume_left = max_volume, math.inf
        self.now = 0
        self.waiting: Waiting | None = None
        self.initial = cash
        self.cash, self.position = cash, 0.0
        self.best = 0.0
        self.exit_refused = False
        self.last_decision = -1
        self.acted = 0.0
        self.ruined = False
        self.last_stop: int | None = None
        self.lost_days: set[date] = set()
        self.placed: list[date] = []
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
            self.now = number
            if number:
                self.pay(self.bars[number - 1].close, *self.costs.due_before(number))
            if self.max_volume is not None:
                assert self.costs.volumes is not None
                self.volume_left = self.max_volume * self.costs.volumes[number]
            if pending is not None and not self.is_leaving():
                self.cancel(number, "the next decision")
                self.rebalance(number, number - 1, *pending)
            elif self.waiting is not None and self.waiting.at_opens:
                self.go_on(number, self.waiting, bar.open)
            else:
                self.look_at_waiting(number, bar)
            for place, part in enumerate(self.detail[number] or [bar]):
                self.pass_inside(number, part, at_open=place == 0)
            self.pay(bar.close, *self.costs.due(number))
            self.cashes.append(self.cash)
            self.positions.append(self.position)
            self.equities.append(self.cash + self.position * bar.close)
            pending = self.decide(number)
        if self.position != 0:
            self.trades[-1].exits.append((self.bars[-1].close, abs(self.position)))
        if self.waiting is not None and self.waiting.fills == 0:
            self.note("accepted", len(self.bars) - 1, self.waiting, self.waiting.reason)
        if pending is not None and not self.is_leaving():
            self.intend(*pending)
        return self

    def note(self, event: str, number: int, order: Waiting, reason: str) -> None:
        row = Order(event, number, order.decision, order.side, order.type, order.amount, order.limit, reason)
        self.orders.append(row)

    def is_leaving(self) -> bool:
        """Tell whether an exit waits for volume: then nothing else is done."""
        order = self.waiting
        return order is not None and order.at_opens and order.wanted == 0 and order.reason not in ("signal", "ruin")

    def fillable(self, order: Waiting) -> float:
        """Return how much of an order this bar's volume fills."""
        if order.left <= self.volume_left * (1 + 1e-9):
            return order.left
        amount = round_down(self.volume_left, self.step)
        return amount if amount > 1e-9 * order.amount else 0.0

    def fill_part(self, number: int, order: Waiting, amount: float, price: float, liquidity: str) -> None:
        change = amount if order.side == "buy" else -amount
        order.fills += 1
        order.left = 0.0 if amount == order.left else self.plus(order.left, -amount)
        whole = order.left == 0
        position = order.wanted if whole else self.plus(self.position, change)
        if order.fills == 1:
            self.placed.append(self.day(number))
        if order.fills == 1 or whole:
            self.note("filled" if whole else "partially_filled", number, order, order.reason)
        self.fill(number, order, price, amount, position, liquidity)
        self.volume_left = max(self.volume_left - amount, 0.0)
        self.last_decision = order.decision
        self.exit_refused = False
        if not whole:
            self.waiting = order
        elif self.waiting is order:
            self.waiting = None

    def plus(self, amount: float, change: float) -> float:
        if self.step is not None:
            return float(Decimal(str(amount)) + Decimal(str(change)))
        return amount + change

    def go_on(self, number: int, order: Waiting, price: float) -> None:
        """Fill at an open of what waits for volume; give it up where it adds to the position and may or can not."""
        amount, why = self.fillable(order), ""
        if self.position == 0 or (self.position > 0) == (order.side == "buy"):
            why = self.why_lost(number)
            if not why and self.costs.scale(number) is None:
                why = "its impact is not known"
            covered = 0.0 if why else self.covered(order, price)
            if not why and covered < amount:
                why = "cash does not cover"
            amount = min(amount, covered)
        if amount > 0:
            self.fill_part(number, order, amount, self.paid(order.side, price, amount), "taker")
        if why:
            self.cancel(number, why)
        elif self.waiting is None and order.closes:
            self.take_up(number, order.decision, self.acted, "signal")

    def covered(self, order: Waiting, price: float) -> float:
        """Return what may be added with the equity beyond the position."""
        equity = self.cash + self.position * price
        money = max(equity - abs(self.position) * price + 1e-12 * equity, 0.0)
        unit = price * (1 + self.slippage) * (1 + self.fee_now())
        amount = round_down(self.costs.affordable(0.0, money / unit, self.now), self.step)
        return amount if amount > 1e-9 * order.amount else 0.0

    def pay(self, price: float, long: float, short: float) -> None:
        """Pay for holding the position."""
        if self.position != 0:
            cost = abs(self.position) * price * (long if self.position > 0 else short)
            self.cash -= cost
            self.trades[-1].carry += cost

    def paid(self, side: str, market: float, amount: float) -> float:
        """Return the price that an order which takes is filled at."""
        moved = 1 + self.costs.moved(amount, self.now)
        if side == "buy":
            return market * (1 + self.slippage) * moved
        return market * (1 - self.slippage) / moved

    def fee_now(self, liquidity: str = "taker") -> float:
        today = self.day(min(self.now, len(self.bars) - 1))
        return self.costs.taker(today) if liquidity == "taker" else self.costs.maker(today)

    def pass_inside(self, number: int, bar: Bar, at_open: bool) -> None:
        """Go through a bar, or through one of the finer ones that it is made up of."""
        seen = self.fill_waiting(number, bar, at_open)
        held = self.position != 0
        if held and not self.exit_refused and not self.is_leaving():
            self.check_stops(number, seen)
        if held and self.position == 0:
            self.cancel(number, "was left")
        if self.position != 0:
            self.trades[-1].see(seen.low)
            self.trades[-1].see(seen.high)
            self.best = max(self.best, seen.high) if self.position > 0 else min(self.best, seen.low)

    def fill_waiting(self, number: int, bar: Bar, at_open: bool) -> Bar:
        """Fill the order that waits if the bar does; return what of the bar certainly comes after."""
        order = self.waiting
        if order is None or order.at_opens or self.fillable(order) == 0:
            return bar
        assert order.limit is not None
        new, amount = at_open and order.since == number, self.fillable(order)
        stop = self.nearest_stop()[0]
        if order.side == "buy":
            if bar.open < order.limit:
                price = min(self.paid("buy", bar.open, amount), order.limit) if new else bar.open
                self.fill_part(number, order, amount, price, "taker" if new else "maker")
            elif bar.low < order.limit and not (stop is not None and stop >= order.limit):
                self.fill_part(number, order, amount, order.limit, "maker")
                return Bar(order.limit, max(order.limit, bar.close), bar.low, bar.close)
        elif bar.open > order.limit:
            price = max(self.paid("sell", bar.open, amount), order.limit) if new else bar.open
            self.fill_part(number, order, amount, price, "taker" if new else "maker")
        elif bar.high > order.limit and not (stop is not None and stop <= order.limit):
            self.fill_part(number, order, amount, order.limit, "maker")
            return Bar(order.limit, bar.high, min(order.limit, bar.close), bar.close)
        return bar

    def look_at_waiting(self, number: int, bar: Bar) -> None:
        """End the order that waits at an open, if it must, and make the one at market that may follow."""
        order = self.waiting
        if order is None:
            return
        lost = self.why_lost(number)
        if lost:
            self.cancel(number, lost)
        elif self.limit_bars is not None and number == order.since + self.limit_bars:
            self.cancel(number, "it was not filled in")
            if self.on_timeout == "market":
                wanted, why = self.entry(number, order.decision, bar.open, self.acted)
                if abs(wanted) >= abs(self.position):
                    self.order(number, order.decision, "market", None, bar.open, wanted, "signal", why)

    def cancel(self, number: int, why: str) -> None:
        if self.waiting is not None:
            self.note("cancelled", number, self.waiting, why)
        self.waiting = None

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
        if self.is_leaving():
            return None
        changed = not math.isnan(wanted) and wanted != self.acted
        if changed:
            self.acted = wanted
        if must_leave == "time" and changed and (wanted == 0 or (wanted > 0) != (self.position > 0)):
            return wanted, "signal"
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
        if self.day(number) in self.lost_days:
            return "daily_loss"
        return "time" if self.max_bars is not None and self.closes_held(number) >= self.max_bars else ""

    def closes_held(self, number: int) -> int:
        return number - self.trades[-1].entry_bar + 1

    def why_lost(self, number: int) -> str:
        if self.drawn_down:
            return "the drawdown has reached"
        return "the day's loss has reached" if self.day(number) in self.lost_days else ""

    def why_not_enter(self, number: int, decision: int, price: float) -> str:
        now, decided = self.opens_at[number], self.opens_at[decision] + self.timeframe
        lost = self.why_lost(number)
        if lost:
            return lost
        if self.last_stop is not None and number <= self.last_stop + self.cooldown:
            return "a stop was hit"
        if self.max_signal_age is not None and (now - decided).total_seconds() > self.max_signal_age:
            return "the signal is older"
        if self.max_deviation is not None and abs(price / self.bars[decision].close - 1) > self.max_deviation:
            return "off the close that was decided on"
        today = self.placed.count(self.day(number))
        if self.max_orders_a_day is not None and today >= self.max_orders_a_day:
            return "orders were placed on this day"
        return ""

    def cut(self, wanted: float, position: float, paid: float, takes: bool = True) -> float:
        """Bring a larger position than the one held within the limits of position and order, in steps."""

        def bought(held: float, money: float) -> float:
            return self.costs.affordable(held, money / paid, self.now) if takes else money / paid

        held, most = abs(position), abs(wanted)
        if self.max_position is not None:
            most = min(most, round_down(bought(held, self.max_position), self.step))
        if self.max_order is not None:
            room = round_down(bought(0.0, self.max_order), self.step)
            reach = held + room if self.step is None else float(Decimal(str(held)) + Decimal(str(room)))
            most = min(most, reach)
        return math.copysign(max(most, held), wanted)

    def wanted_position(
        self, target: float, cash: float, position: float, price: float, slippage: float | None = None
    ) -> float:
        if self.fixed is not None:
            return round_down(target * self.fixed, self.step)
        equity = max(cash + position * price, 0.0)
        if slippage is not None:  # of one that waits for its price
            unit = price * (1 + slippage) * (1 + self.costs.highest())
            return round_down(target * self.fraction * equity / unit, self.step)
        wanted = target * self.fraction * equity / (price * (1 + self.slippage) * (1 + self.fee_now()))
        size = self.costs.affordable(abs(position), abs(wanted), self.now)
        return round_down(math.copysign(size, wanted), self.step)

    def limit(self, target: float, decision: int) -> float:
        close = self.bars[decision].close
        if target > 0:
            return round_price(close * (1 - self.limit_offset), self.price_step, "buy")
        return round_price(close * (1 + self.limit_offset), self.price_step, "sell")

    def sized(
        self, target: float, decision: int, cash: float, position: float, price: float, at_limit: bool
    ) -> tuple[float, float, bool, float | None]:
        """Return the wanted position within the limits of size, the same without them, whether the order enters, and
        its limit price."""
        wanted = uncut = self.wanted_position(target, cash, position, price)
        if abs(wanted) <= abs(position):
            return wanted, wanted, False, None
        paid, limit = price * (1 + self.slippage) if target > 0 else price * (1 - self.slippage), None
        if at_limit:
            paid = limit = self.limit(target, decision)
            wanted = uncut = self.wanted_position(target, cash, position, limit, slippage=0.0)
            if abs(wanted) <= abs(position):
                return position, position, True, limit
        return self.cut(wanted, position, paid, takes=not at_limit), uncut, True, limit

    def entry(
        self, number: int, decision: int, price: float, target: float, at_limit: bool = False
    ) -> tuple[float, str]:
        """Return the wanted position and, where the order for it enters and may not, why."""
        wanted, uncut, enters, _ = self.sized(target, decision, self.cash, self.position, price, at_limit)
        why = self.why_not_enter(number, decision, price) if enters else ""
        if enters and not why and uncut != self.position and wanted == self.position:
            why = "leave nothing to add"
        return wanted, why

    def rebalance(self, number: int, decision: int, target: float, reason: str) -> None:
        price = self.bars[number].open
        if (self.position > 0 and target <= 0) or (self.position < 0 and target >= 0):
            self.order(number, decision, "market", None, price, 0.0, reason)
            if self.waiting is not None:
                self.waiting.closes = reason == "signal"
                return
            if self.position != 0:
                self.exit_refused = self.exit_refused or reason in ("daily_loss", "drawdown", "time")
                return
        self.take_up(number, decision, target, reason)

    def take_up(self, number: int, decision: int, target: float, reason: str) -> None:
        price = self.bars[number].open
        if target != 0:
            at_limit = self.order_type == "limit"
            _, _, enters, limit = self.sized(target, decision, self.cash, self.position, price, at_limit)
            wanted, why = self.entry(number, decision, price, target, at_limit)
            if enters and limit is not None:
                self.wait(number, decision, target, wanted, limit, why)
            else:
                self.order(number, decision, "market", None, price, wanted, reason, why)

    def wait(self, number: int, decision: int, target: float, wanted: float, limit: float, forbidden: str) -> None:
        side, change = "buy" if target > 0 else "sell", self.change_to(wanted)
        why = forbidden or self.why_not(change, limit, limit, takes=False)
        if why:
            self.orders.append(Order("rejected", number, decision, side, "limit", abs(change), limit, why))
        else:
            amount = abs(change)
            self.waiting = Waiting(side, "limit", limit, amount, amount, wanted, decision, number, "signal", False)

    def intend(self, target: float, reason: str) -> None:
        last = len(self.bars) - 1
        self.now = len(self.bars)
        price = self.bars[last].close
        cash, position = self.cash, self.position
        if (position > 0 and target <= 0) or (position < 0 and target >= 0):
            side = "sell" if position > 0 else "buy"
            self.orders.append(Order("intent", last, last, side, "market", abs(position), None, reason))
            paid = self.paid(side, price, abs(position))
            fee = self.fee_now() * paid * abs(position)
            cash += position * paid - fee
            position = 0.0
        if target != 0:
            wanted, _, _, limit = self.sized(target, last, cash, position, price, self.order_type == "limit")
            change, kind = wanted - position, "market" if limit is None else "limit"
            side = "buy" if change > 0 else "sell"
            self.orders.append(Order("intent", last, last, side, kind, abs(change), limit, reason))

    def nearest_stop(self) -> tuple[float | None, str]:
        """Return the stop of the position, and which it is; none where there is no position that can be left."""
        if self.position == 0 or self.exit_refused:
            return None, ""
        entry = self.trades[-1].entry_price
        stops: list[tuple[float, str]] = []
        if self.position > 0:
            if self.stop_loss is not None:
                stops.append((entry * (1 - self.stop_loss), "stop_loss"))
            if self.trailing_stop is not None:
                stops.append((self.best * (1 - self.trailing_stop), "trailing_stop"))
            return max(stops, key=lambda s: s[0], default=(None, ""))
        if self.stop_loss is not None:
            stops.append((entry * (1 + self.stop_loss), "stop_loss"))
        if self.trailing_stop is not None:
            stops.append((self.best * (1 + self.trailing_stop), "trailing_stop"))
        return min(stops, key=lambda s: s[0], default=(None, ""))

    def check_stops(self, number: int, bar: Bar) -> None:
        entry = self.trades[-1].entry_price
        stop, reason = self.nearest_stop()
        if self.position > 0:
            if stop is not None and bar.low <= stop:
                return self.leave(number, "stop", stop, min(stop, bar.open), reason)
            if self.take_profit is not None and bar.high >= entry * (1 + self.take_profit):
                self.trades[-1].see(bar.low)
                goal = entry * (1 + self.take_profit)
                return self.leave(number, "limit", goal, goal, "take_profit")
        else:
            if stop is not None and bar.high >= stop:
                return self.leave(number, "stop", stop, max(stop, bar.open), reason)
            if self.take_profit is not None and bar.low <= entry * (1 - self.take_profit):
                self.trades[-1].see(bar.high)
                goal = entry * (1 - self.take_profit)
                return self.leave(number, "limit", goal, goal, "take_profit")
        return None

    def leave(self, number: int, kind: str, trigger: float, price: float, reason: str) -> None:
        if self.max_volume is not None and self.waiting is not None:
            side = "sell" if self.position > 0 else "buy"
            paid = price if kind == "limit" else self.paid(side, price, abs(self.position))
            if self.why_not(-self.position, paid, price, takes=kind != "limit"):
                return
            self.cancel(number, "an exit took")
        rows = len(self.orders)
        self.order(number, self.last_decision, kind, trigger, price, 0.0, reason)
        self.exit_refused = "rejected" in [order.event for order in self.orders[rows:]]

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
        change = self.change_to(wanted)
        side = "buy" if change > 0 else "sell"
        price = market if kind == "limit" else self.paid(side, market, abs(change))
        why = forbidden or self.why_not(change, price, market, takes=kind != "limit")
        if why:
            self.orders.append(Order("rejected", number, decision, side, kind, abs(change), trigger, why))
            return
        size = abs(change)
        order = Waiting(side, kind, trigger, size, size, wanted, decision, number, reason, True)
        amount = self.fillable(order)
        if amount > 0:
            price = market if kind == "limit" else self.paid(side, market, amount)
            self.fill_part(number, order, amount, price, "taker")
        else:
            self.waiting = order

    def change_to(self, wanted: float) -> float:
        if self.step is not None and wanted != 0 and self.position != 0:
            return float(Decimal(str(wanted)) - Decimal(str(self.position)))
        return wanted - self.position

    def why_not(self, change: float, price: float, market: float, takes: bool = True) -> str:
        equity = self.cash + self.position * market
        if change == 0:
            return "rounds down to 0" if equity > 0 else "no equity"
        if self.min_amount is not None and abs(change) < self.min_amount:
            return "amount is below"
        if self.min_cost is not None and abs(change) * price < self.min_cost:
            return "cost is below"
        grows = self.position == 0 or (self.position > 0) == (change > 0)
        free = equity - abs(self.position) * market
        if grows and takes and self.costs.scale(self.now) is None:
            return "its impact is not known"
        fee = self.fee_now() if takes else self.costs.highest()
        if self.fixed is not None and grows and abs(change) * price * (1 + fee) > free + 1e-12 * equity:
            return "cash does not cover"
        return ""

    def fill(
        self,
        number: int,
        order: Waiting,
        price: float,
        amount: float,
        wanted: float,
        liquidity: str,
    ) -> None:
        side, decision, reason = order.side, order.decision, order.reason
        fee = self.fee_now(liquidity) * price * amount
        self.costs.traded.append((self.day(number), price * amount))
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
            if reason in ("stop_loss", "trailing_stop"):
                self.last_stop = number
        self.fills.append(Fill(number, side, price, amount, fee, reason, len(self.trades), liquidity, order.fills))
