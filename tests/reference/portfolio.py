"""Many markets on one account once more, slow and obvious: what the compiled portfolio is held to.

Written from the words of `tasks.backtest.portfolio.simulate_portfolio` alone. The rules of one market are those of the
slow simulator of one; here are the shared money, the order in a bar, the room, rebalancing, and absent candles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from tests.reference.simulator import Bar, Fill, Order, Simulator, Trade, round_down


@dataclass
class Wish:
    target: float
    reason: str
    decision: int


class Market(Simulator):
    """One symbol: the simulator's rules, with the money and the equity of the whole."""

    def __init__(
        self, whole: Portfolio, symbol: str, bars: list[Bar | None], weights: list[float], **rules: Any
    ) -> None:
        self.whole, self.symbol = whole, symbol
        self.present = [bar is not None for bar in bars]
        known: Bar | None = None
        filled = []
        for bar in bars:
            known = bar or (known and Bar(known.close, known.close, known.close, known.close))
            filled.append(known or Bar(math.nan, math.nan, math.nan, math.nan))
        super().__init__(filled, weights, cash=whole.initial, opens_at=whole.opens_at, **rules)
        # Costs are reckoned by its own candles alone, of which the next one is number `now`.
        self.costs.bars = [bar for bar in bars if bar is not None]
        self.costs.opens_at = [at for at, bar in zip(whole.opens_at, bars, strict=True) if bar is not None]
        self.costs.traded = whole.traded
        self.wish: Wish | None = None
        self.goal = 0.0
        self.price = math.nan
        self.short_of_room = False

    @property
    def cash(self) -> float:  # type: ignore[override]
        return self.whole.cash

    @cash.setter
    def cash(self, money: float) -> None:
        self.whole.cash = money

    @property
    def equities(self) -> list[float]:  # type: ignore[override]
        return self.whole.equities

    @equities.setter
    def equities(self, _: list[float]) -> None:
        """The whole keeps them."""

    @property
    def worth(self) -> float:
        return self.position * self.price if self.position else 0.0

    def equity_at(self, price: float) -> float:
        return self.cash + self.position * price + sum(m.worth for m in self.whole.markets if m is not self)

    def fee_now(self, liquidity: str = "taker") -> float:
        return self.costs.taker(self.whole.today) if liquidity == "taker" else self.costs.maker(self.whole.today)

    def closes_held(self, number: int) -> int:
        """Count its own candles; one that is absent ends nothing."""
        return sum(self.present[self.trades[-1].entry_bar : number + 1]) if self.present[number] else 0

    def wanted_position(
        self, target: float, cash: float, position: float, price: float, slippage: float | None = None
    ) -> float:
        equity = self.equity_at(price)
        unit = price * (1 + self.slippage) * (1 + self.fee_now())
        room = self.whole.gross * max(equity, 0.0) - sum(abs(m.worth) for m in self.whole.markets if m is not self)
        if target > 0:
            room = min(room, self.cash + self.position * price)
        if room <= 1e-9 * equity:
            room = 0.0
        wanted = target * self.fraction * max(equity, 0.0) / unit
        most = max(room / unit, abs(self.position))
        self.short_of_room = abs(wanted) > most * (1 + 1e-9)
        size = self.costs.affordable(abs(self.position), min(abs(wanted), most), self.now)
        return round_down(math.copysign(size, target), self.step)

    def why_not(self, change: float, price: float, market: float, takes: bool = True) -> str:
        if change == 0:
            if self.equity_at(market) <= 0:
                return "no equity"
            return "the other positions" if self.short_of_room else "rounds down to 0"
        return super().why_not(change, price, market, takes)

    def crosses(self, target: float) -> bool:
        return (self.position > 0 and target <= 0) or (self.position < 0 and target >= 0)

    def shrink(self, number: int) -> None:
        """The first round of the opens."""
        wish = self.wish
        assert wish is not None
        if self.crosses(wish.target):
            self.rebalance(number, wish.decision, 0.0, wish.reason)
            if self.position != 0 or wish.target == 0:
                self.done()
        elif wish.target == 0:
            self.done()
        elif abs(self.wanted_position(wish.target, 0, 0, self.price)) < abs(self.position):
            self.enter(number)

    def enter(self, number: int) -> None:
        """The second round of the opens."""
        assert self.wish is not None
        self.rebalance(number, self.wish.decision, self.wish.target, self.wish.reason)
        self.done()

    def done(self) -> None:
        self.wish, self.acted = None, self.goal

    def decide_at(self, number: int) -> None:
        if self.ruined:
            return
        loss = self.must_leave(number)
        if self.equities[number] <= 0:
            self.ruined = True
            self.wish = Wish(0.0, "ruin", number)
            return
        if loss and (self.wish is None or self.wish.reason != loss):
            self.wish = Wish(0.0, loss, number)
        if math.isnan(self.price):
            return
        weight = self.target[number]
        if self.long_only and weight < 0:
            weight = 0.0
        if not math.isnan(weight):
            self.take(weight, number)
        if self.wish is None and self.whole.looks(number) and self.off_weight(number):
            self.wish, self.goal = Wish(self.acted, "rebalance", number), self.acted

    def take(self, weight: float, number: int) -> None:
        waiting = "" if self.wish is None else self.wish.reason
        leaves = weight != self.acted and weight * self.position <= 0
        if waiting in ("daily_loss", "drawdown") or (waiting == "time" and not leaves):
            self.goal = weight
        elif weight != self.acted:
            if self.wish is None or waiting != "signal" or self.wish.target != weight:
                self.wish = Wish(weight, "signal", number)
            self.goal = weight
        elif waiting == "signal":
            self.wish, self.goal = None, weight

    def off_weight(self, number: int) -> bool:
        if self.position == 0 or self.crosses(self.acted) or self.exit_refused or self.drawn_down:
            return False
        if self.day(number) in self.lost_days:
            return False
        equity = self.equities[number]
        unit = self.price * (1 + self.slippage) * (1 + self.fee_now())
        size = abs(self.acted) * self.fraction * max(equity, 0.0) / unit
        size = self.costs.affordable(abs(self.position), size, self.now)
        wanted = round_down(math.copysign(size, self.acted), self.step)
        if abs(wanted) > abs(self.position):
            wanted = self.cut(wanted, self.position, self.price * (1 + self.slippage))
        change = abs(wanted - self.position)
        if change < (self.min_amount or 0) or change * self.price < (self.min_cost or 0):
            return False
        return change * self.price > max(self.whole.tolerance, 1e-9) * equity

    def order(self, *args: Any) -> None:
        before = len(self.trades)
        super().order(*args)
        self.whole.orders.append((self.symbol, self.orders[-1]))
        if len(self.trades) > before:
            self.whole.trades.append((self.symbol, self.trades[-1]))
        if self.orders[-1].event == "filled":
            number = next(n for n, (_, trade) in enumerate(self.whole.trades, 1) if trade is self.trades[-1])
            self.whole.fills.append((self.symbol, self.fills[-1], number))

    def begin(self) -> None:
        """Pay at an open for the time since the candle before."""
        if self.now:
            self.pay(self.price, *self.costs.due_before(self.now))

    def hold(self, number: int) -> None:
        """See the range of a bar at whose close the position is still held, and pay for it."""
        self.pay(self.bars[number].close, *self.costs.due(self.now))
        self.now += 1
        if self.position != 0:
            bar = self.bars[number]
            self.trades[-1].see(bar.low)
            self.trades[-1].see(bar.high)
            self.best = max(self.best, bar.high) if self.position > 0 else min(self.best, bar.low)

    def intend_change(self, wanted: float) -> None:
        """Note an order that waits for an open, as if it were filled at the last close."""
        assert self.wish is not None
        change = wanted - self.position
        side = "buy" if change > 0 else "sell"
        last = len(self.bars) - 1
        order = Order("intent", last, self.wish.decision, side, "market", abs(change), None, self.wish.reason)
        self.whole.orders.append((self.symbol, order))
        paid = self.paid(side, self.price, abs(change))
        self.cash -= change * paid + self.fee_now() * paid * abs(change)
        self.position = wanted


class Portfolio:
    """One account, many markets; `run` steps through the bars of all."""

    def __init__(
        self,
        bars: dict[str, list[Bar | None]],
        weights: dict[str, list[float]],
        *,
        cash: float,
        opens_at: list[datetime],
        timeframe: timedelta,
        rebalance_every: int | None = None,
        tolerance: float = 0.0,
        gross: float = 1.0,
        markets: dict[str, dict[str, Any]] | None = None,
        **rules: Any,
    ) -> None:
        self.initial = self.cash = cash
        self.opens_at = opens_at
        self.every, self.tolerance, self.gross = rebalance_every, tolerance, gross
        self.traded: list[tuple[date, float]] = []
        self.today = opens_at[0].date()
        self.equities: list[float] = []
        self.cashes: list[float] = []
        self.held: list[tuple[int, str, float, float]] = []
        self.orders: list[tuple[str, Order]] = []
        self.fills: list[tuple[str, Fill, int]] = []
        self.trades: list[tuple[str, Trade]] = []
        own = markets or {}
        self.markets: list[Market] = []
        self.markets += [
            Market(self, symbol, of, weights[symbol], timeframe=timeframe, **(rules | own.get(symbol, {})))
            for symbol, of in bars.items()
        ]

    def looks(self, number: int) -> bool:
        return self.every is not None and (number + 1) % self.every == 0

    def run(self) -> Portfolio:
        for number in range(len(self.opens_at)):
            self.today = self.opens_at[number].date()
            self.trade(number, [market for market in self.markets if market.present[number]])
            self.cashes.append(self.cash)
            self.equities.append(self.cash + math.fsum(market.worth for market in self.markets))
            self.held += [(number, m.symbol, m.position, m.price) for m in self.markets if m.position != 0]
            for market in self.markets:
                market.decide_at(number)
        for market in self.markets:
            if market.position != 0:
                market.trades[-1].exits.append((market.price, abs(market.position)))
        self.intend()
        return self

    @staticmethod
    def trade(number: int, markets: list[Market]) -> None:
        """Open, inside and close of a bar, for the markets that have a candle in it."""
        for market in markets:
            market.begin()
            market.price = market.bars[number].open
        for market in markets:
            if market.wish is not None:
                market.shrink(number)
        for market in markets:
            if market.wish is not None:
                market.enter(number)
        for market in markets:
            if market.position != 0 and not market.exit_refused:
                market.check_stops(number, market.bars[number])
        for market in markets:
            market.hold(number)
            market.price = market.bars[number].close

    def intend(self) -> None:
        waiting = [market for market in self.markets if market.wish is not None]
        for market in list(waiting):
            assert market.wish is not None
            target = market.wish.target
            if market.crosses(target):
                market.intend_change(0.0)
                if target == 0:
                    waiting.remove(market)
            elif target == 0:
                waiting.remove(market)
            elif abs(wanted := market.wanted_position(target, 0, 0, market.price)) < abs(market.position):
                market.intend_change(wanted)
                waiting.remove(market)
        for market in waiting:
            assert market.wish is not None
            wanted = market.wanted_position(market.wish.target, 0, 0, market.price)
            if abs(wanted) > abs(market.position):
                paid = market.price * (1 + market.slippage if wanted > 0 else 1 - market.slippage)
                wanted = market.cut(wanted, market.position, paid)
            market.intend_change(wanted)
