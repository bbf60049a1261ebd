"""Made-up days of a market: calm and turbulent times, trends, jumps, and a volume that grows with the range.

The process begins in 1970, whenever it is asked: one seed gives one price at one instant to everybody.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.exchange.practice.market import draws
from tasks.exchange.practice.market.bars import LARGEST, PRINTS, Bars, Whole, volume_unit
from tasks.exchange.practice.market.markets_known import usual_price
from tasks.exchange.rules import MarketRules

Floats = NDArray[np.float64]


class Regime(NamedTuple):
    """A kind of time, by the day."""

    drift: float
    """Of the logarithm of the price."""
    volatility: float
    """Standard deviation of that logarithm's change."""
    days: float
    """How long it lasts on average."""
    jumps: float
    """Probability of a jump."""


_REGIMES = (
    Regime(0.0, 0.012, 40, 0.004),
    Regime(0.003, 0.022, 30, 0.01),
    Regime(-0.004, 0.028, 25, 0.02),
    Regime(0.0, 0.045, 10, 0.06),
)
"""Calm, rise, fall, turbulence."""

_DAYS_BACK = 250
"""A price that has strayed is drawn back to its usual level by one part in so many a day."""
_JUMP, _JUMP_TAIL, _JUMP_LARGEST = 2.5, 3.0, 0.4
"""A jump's least size in standard deviations, the exponent of its Pareto tail, and its largest logarithm."""
_CLUSTER, _CLUSTER_NOISE = 0.94, 0.13
"""What a day's volatility, as a logarithm, keeps of the day before, and what comes anew."""
_TURNOVER = 2e8
"""Of a usual day, in US dollars."""
_USUAL_RANGE = 0.04
"""High over low, as a logarithm, of a day with the usual turnover."""
_MOST_QUIET = 60
"""Minutes of a day in which nobody trades, at most."""

_BLOCK = 1024
"""Days that are made together."""

_CHANCES, _SHOCKS, _TIPS, _MOOD, _QUIET = range(5)
"""Streams of a day's draws."""


class _State(NamedTuple):
    """Where the process stands at the end of a day."""

    regime: int = 0
    heat: float = 0.0
    """Logarithm of the volatility over that of the regime."""
    strayed: float = 0.0
    """Logarithm of the price over its usual level."""


class Generated:
    """A series of days without an end.

    What a currency does in a day is the same in all its markets; within the day, each market has its own way.
    """

    minutes = 1440
    first = 0

    def __init__(self, rules: MarketRules, seed: int) -> None:
        self._level = usual_price(rules.base) / usual_price(rules.quote) / float(rules.price_step)
        self._usual_volume = _TURNOVER / usual_price(rules.base)
        self.unit = volume_unit(rules.amount_step, 100 * self._usual_volume)
        self._moves = draws.key_of(seed, rules.base, "moves")
        self._turnovers = draws.key_of(seed, rules.symbol, "turnovers")
        self._state = _State()
        self._days = Bars(*(np.empty(0, dtype=np.int64) for _ in range(6)))

    def bars(self, first: int, count: int) -> Bars:
        """Return days by number since 1970."""
        while len(self._days) < first + count:
            blocks = zip(self._days.columns(), self._block(len(self._days)).columns(), strict=True)
            self._days = Bars(*(np.concatenate(pair) for pair in blocks))
        return self._days.at(np.arange(first, first + count))

    def _block(self, first: int) -> Bars:
        """Make the days that follow the last one made."""
        days = np.arange(first, first + _BLOCK)
        before = self._state.strayed
        strayed, volatility = self._move(draws.keys_at(self._moves, days))
        keys = draws.keys_at(self._turnovers, days)
        close = self._level * np.exp(strayed)
        open_ = self._level * np.exp(np.concatenate([[before], strayed[:-1]]))
        tips = -0.5 * volatility[:, None] * np.log(draws.uniform(keys, _TIPS, 2))
        high, low = np.maximum(open_, close) * np.exp(tips[:, 0]), np.minimum(open_, close) * np.exp(-tips[:, 1])
        mood = np.exp(0.3 * draws.normal(keys, _MOOD, 1)[:, 0])
        largest = 100 * self._usual_volume / float(self.unit)
        volume = np.log(high / low) / _USUAL_RANGE * mood * self._usual_volume * self._level / close / float(self.unit)
        units = np.clip(np.rint(volume), PRINTS, largest).astype(np.int64)
        quiet = (draws.uniform(keys, _QUIET, 1)[:, 0] ** 2 * (_MOST_QUIET + 1)).astype(np.int64)
        active = np.minimum(self.minutes - quiet, units // PRINTS)
        return Bars(_ticks(open_), _ticks(high), _ticks(low), _ticks(close), units, active)

    def _move(self, keys: draws.Keys) -> tuple[Floats, Floats]:
        """Return, for each of the next days, how far its close has strayed, and its volatility."""
        chances, shocks = draws.uniform(keys, _CHANCES, 4), draws.normal(keys, _SHOCKS, 2)
        strayed, volatility = np.empty(len(keys)), np.empty(len(keys))
        for day, (chance, shock) in enumerate(zip(chances.tolist(), shocks.tolist(), strict=True)):
            self._state, volatility[day] = _next_day(self._state, chance, shock)
            strayed[day] = self._state.strayed
        return strayed, volatility


def _next_day(state: _State, chance: list[float], shock: list[float]) -> tuple[_State, float]:
    """Return the state a day later, and the volatility of the day."""
    leave, where, jump, size = chance
    number = state.regime
    if leave < 1 / _REGIMES[number].days:
        number = (number + 1 + int(where * (len(_REGIMES) - 1))) % len(_REGIMES)
    regime = _REGIMES[number]
    heat = _CLUSTER * state.heat + _CLUSTER_NOISE * shock[1]
    volatility = regime.volatility * math.exp(heat)
    move = regime.drift - state.strayed / _DAYS_BACK + volatility * shock[0]
    if jump < regime.jumps:
        # The draw that chose the jump is even below its bound, and so tells its direction, too.
        sign = 1 if jump < regime.jumps / 2 else -1
        move += sign * min(_JUMP * volatility * size ** (-1 / _JUMP_TAIL), _JUMP_LARGEST)
    return _State(number, heat, state.strayed + move), volatility


def _ticks(prices: Floats) -> Whole:
    return np.clip(np.rint(prices), 1, LARGEST).astype(np.int64)
