"""Proof, by recomputation, that a strategy does not look ahead and that its warm-up suffices.

Look-ahead: what happens after candle t must not change any row up to t. So the history is cut off after t, or goes on
otherwise after t, for many t, and every row of every indicator and of the target must stand.

Warm-up: live, only the last candles are fetched. So leading candles are dropped, and from `warmup` rows on everything
must be as on the full history; and so must the last row of histories of `warmup` + 1 candles, which live may see. An
average with endless memory needs a warm-up after which the weight left to what was before is negligible: 1e-7 is left
after 8 windows of an EMA and 16 of Wilder's average (see `ema_memory` and `wilder_memory`).

Two values of an indicator are equal when they differ by no more than TOLERANCE of their size: the value itself or the
median of its column, whichever is larger. Targets must be equal exactly; but one may be NaN on the shorter history,
which is no signal and leaves the position as it is.

A portfolio strategy is checked on many markets side by side, of which some lack candles, in each column of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame, Series, Timestamp

from data.errors import BadInput, StrategyError
from tasks.signal.market import invented_market, invented_markets
from tasks.signal.portfolio import weighed
from tasks.signal.signals import indicators_of, signals, warmup_of
from tasks.signal.strategy import PortfolioStrategy, Strategy

TOLERANCE = 1e-6
LONGEST = 20_000
"""Candles that are checked at most, beside the warm-up: the newest."""

_FEWEST = 50
_OF = " of "
_PRICES = ["open", "high", "low", "close"]

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with one column: where it shows first, and the two values that should be equal."""

    kind: str
    """lookahead, warmup or error."""

    ts: Timestamp
    """Candle of the values; the last candle of the history for an error."""

    column: str
    """The indicator, or target; of many markets with `of` and the symbol; empty for an error of the whole strategy."""

    expected: float
    found: float
    explanation: str


@dataclass(frozen=True)
class Report:
    """What the check found, and on how much it rests."""

    strategy: Strategy
    candles: int
    """Candles of the full history."""

    histories: int
    """Histories on which the strategy was computed."""

    changes: int
    """Changes of the signal on the full history: with few of them, the check has seen little."""

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def check(strategy: Strategy, candles: DataFrame | None = None, *, seed: int = 0) -> Report:
    """Check that a strategy depends on its candles alone, does not look ahead, and has a sufficient warm-up.

    Without candles an invented market serves, or three for a portfolio strategy, whose candles are side by side as it
    sees them. The same seed makes the same check. Raises BadInput when there are too
    few candles, and StrategyError when the warm-up is no number; what else the strategy does wrong is in the report.
    What fails one step mostly fails the next for the same reason, so the report ends with the first step that fails:
    same candles, same answer; then look-ahead; then warm-up.
    """
    warmup = warmup_of(strategy)
    invented = invented_markets if isinstance(strategy, PortfolioStrategy) else invented_market
    market = invented(6 * warmup + 2_000, seed) if candles is None else candles
    market = market.iloc[-(warmup + LONGEST) :]
    if len(market) < warmup + _FEWEST:
        raise BadInput(
            f"{strategy.name} can be checked on {warmup + _FEWEST} candles or more ({warmup} to warm up), "
            f"but there are {len(market)}"
        )
    checker = _Checker(strategy, market, seed)
    checker.examine()
    return checker.report()


class _Checker:
    """Computes the strategy on one history after another and keeps the first finding of each kind and column."""

    def __init__(self, strategy: Strategy, candles: DataFrame, seed: int) -> None:
        self.strategy = strategy
        self.candles = candles
        self.random = np.random.default_rng(seed)
        self.warmup = warmup_of(strategy)
        self.histories = 0
        self.changes: Rows = np.empty(0, dtype=np.int64)
        self.findings: dict[tuple[str, str], Finding] = {}
        self.settled = 0
        self.sizes: dict[str, float] = {}

    def report(self) -> Report:
        findings = [self._advised(finding) for finding in self.findings.values()]
        findings.sort(key=lambda finding: (finding.ts, finding.kind, finding.column))
        return Report(self.strategy, len(self.candles), self.histories, len(self.changes), tuple(findings))

    def examine(self) -> None:
        full, again = self._compute(self.candles), self._compute(self.candles)
        if full is None or again is None:
            return
        self.sizes = {column: full[column].abs().median() for column in full.columns}
        if _targets(full).isna().all(axis=None):
            self._error(self.candles, "it gave no signal on any candle: check it on candles on which it gives some")
            return
        why = "two runs over the same candles differ: chance, the clock or a memory between calls has a part in it"
        self._compare("error", full, again, why)
        if self.findings:
            return
        targets = _targets(full)
        before = targets.ffill().shift(1).fillna(0.0)
        self.changes = np.flatnonzero((targets.fillna(before) != before).any(axis=1))
        self._hide_the_future(full)
        if self.findings:
            return
        self._drop_the_past(full)
        self._live(full)

    def _hide_the_future(self, full: DataFrame) -> None:
        for last in self._moments(self.warmup, len(full) - 2):
            known, ts = full.iloc[: last + 1], full.index[last]
            cut = self._compute(self.candles.iloc[: last + 1])
            if cut is not None:
                self._compare("lookahead", known, cut, f"it changes when the candles after {ts} are cut off")
            other = self._compute(self._other_future(last))
            if other is not None:
                why = f"it changes when other candles follow after {ts}"
                self._compare("lookahead", known, other.iloc[: last + 1], why)

    def _drop_the_past(self, full: DataFrame) -> None:
        latest = len(full) - self.warmup - 1
        starts = {1, 2, 3, 7, self.warmup, self.warmup + 1, latest // 4, latest // 2, latest}
        starts |= set(self.random.integers(1, latest + 1, 6).tolist())
        silences = {_silence(full)}
        for start in sorted(start for start in starts if 0 < start <= latest):
            short = self._compute(self.candles.iloc[start:])
            if short is None:
                continue
            begin = start + self.warmup
            why = f"it is another on a history that begins at {full.index[start]}"
            row = self._compare("warmup", full.iloc[begin:], short.iloc[self.warmup :], why)
            if row is not None:
                self.settled = max(self.settled, self.warmup + row + 1)
            if _targets(short).notna().any(axis=None):
                silences.add(_silence(short))
        silence = min(silences)
        if len(silences) == 1 and silence > self.warmup and self.warmup + silence < len(full):
            ts, first = full.index[silence], _targets(full).iloc[silence].dropna()
            why = f"its first signal comes {silence} candles after the beginning, wherever that is"
            self._add(Finding("warmup", ts, str(first.index[0]), float(first.iloc[0]), np.nan, why))
            self.settled = max(self.settled, silence)

    def _live(self, full: DataFrame) -> None:
        for last in self._moments(self.warmup, len(full) - 1):
            window = self.candles.iloc[last - self.warmup : last + 1]
            short = self._compute(window)
            if short is not None:
                why = f"it is another on a history of {len(window)} candles, its warm-up and one more"
                self._compare("warmup", full.iloc[[last]], short.iloc[[-1]], why)

    def _moments(self, first: int, last: int) -> list[int]:
        """Choose rows in first..last: both ends, those at which the signal changes and those before, and at random."""
        some = self.random.permutation(self.changes)[:10]
        ends = [first, first + 1, (first + last) // 2, last - 1, last]
        chosen = {*ends, *some.tolist(), *(some - 1).tolist(), *self.random.integers(first, last + 1, 10).tolist()}
        return sorted(row for row in chosen if first <= row <= last)

    def _other_future(self, last: int) -> DataFrame:
        """Return the candles with others after row `last`: each at another price and volume, each a possible candle."""
        other = self.candles.copy()
        later = len(other) - last - 1
        names, markets = other.columns.get_level_values(0), other.columns.get_level_values(-1)
        wide = isinstance(self.strategy, PortfolioStrategy)
        for symbol in markets.unique() if wide else [None]:
            own = markets == symbol if wide else np.ones(len(names), dtype=bool)
            prices, volume = np.flatnonzero(own & names.isin(_PRICES)), np.flatnonzero(own & (names == "volume"))
            other.iloc[last + 1 :, prices] *= self.random.lognormal(0, 1, (later, 1))
            other.iloc[last + 1 :, volume] *= self.random.lognormal(0, 1, (later, 1))
        return other

    def _compute(self, candles: DataFrame) -> DataFrame | None:
        """Return the indicators and the target; None, and a finding, when the strategy fails."""
        self.histories += 1
        try:
            frames = self._signals(candles)
        except StrategyError as error:
            self._error(candles, f"{error} (history of {len(candles)} candles)")
            return None
        columns = {
            f"{name}{suffix}": values
            for suffix, frame in frames.items()
            for name, values in indicators_of(frame).assign(target=frame["signal"]).items()
        }
        return DataFrame(columns, index=candles.index)

    def _signals(self, candles: DataFrame) -> dict[str, DataFrame]:
        """Return the signals by what the columns' names are to end with."""
        if isinstance(self.strategy, PortfolioStrategy):
            return {f"{_OF}{symbol}": frame for symbol, frame in weighed(candles, self.strategy).items()}
        return {"": signals(candles, self.strategy)}

    def _compare(self, kind: str, expected: DataFrame, found: DataFrame, why: str) -> int | None:
        """Keep the first difference of each column; return the last row in which any column differs."""
        if list(expected.columns) != list(found.columns):
            self._error(
                found,
                f"its columns change with the history: {', '.join(expected.columns)}; then {', '.join(found.columns)}",
            )
            return None
        last = None
        for column in expected.columns:
            rows = self._differing(expected[column], found[column], may_be_silent=kind == "warmup")
            if not len(rows):
                continue
            first = int(rows[0])
            values = float(expected[column].iloc[first]), float(found[column].iloc[first])
            self._add(Finding(kind, expected.index[first], column, *values, why))
            last = max(last or 0, int(rows[-1]))
        return last

    def _differing(self, expected: Series, found: Series, *, may_be_silent: bool) -> Rows:
        """Return the rows in which two histories of one column differ."""
        a, b = expected.to_numpy(), found.to_numpy()
        if _is_target(str(expected.name)):
            same = (a == b) | (np.isnan(b) & (np.isnan(a) | may_be_silent))
        else:
            size = np.maximum(np.abs(a), self.sizes[str(expected.name)])
            same = (np.abs(a - b) <= TOLERANCE * size) | (np.isnan(a) & np.isnan(b))
        return np.flatnonzero(~same)

    def _error(self, candles: DataFrame, why: str) -> None:
        self._add(Finding("error", candles.index[-1], "", np.nan, np.nan, why))

    def _add(self, finding: Finding) -> None:
        known = self.findings.get((finding.kind, finding.column))
        if known is None or finding.ts < known.ts:
            self.findings[finding.kind, finding.column] = finding

    def _advised(self, finding: Finding) -> Finding:
        """Add to a finding what to do about it."""
        if finding.kind == "lookahead":
            advice = "; use only rows up to the candle itself"
        elif finding.kind == "warmup":
            advice = f"; a warm-up of {self.warmup} is too short"
            if self.settled + 3 >= len(self.candles) - self.warmup:
                advice += ", and none is enough: the strategy depends on the whole history"
            elif self.settled:
                advice += f": on these candles {self.settled} is enough"
        else:
            advice = ""
        return replace(finding, explanation=finding.explanation + advice)


def _is_target(column: str) -> bool:
    return column.partition(_OF)[0] == "target"


def _targets(frame: DataFrame) -> DataFrame:
    return frame[[column for column in frame.columns if _is_target(column)]]


def _silence(frame: DataFrame) -> int:
    """Return how many rows come before the first signal."""
    return int(np.argmax(_targets(frame).notna().any(axis=1).to_numpy()))
