"""The verdict: whether the best set of a sweep, or a backtest, is more than the luckiest of all that was tried."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from data.sweep_metrics import SWEEP_METRICS
from tasks.evaluate.account import Floats
from tasks.evaluate.clusters import Clusters, effective_trials
from tasks.evaluate.deflation import Deflated, deflate
from tasks.evaluate.figure import Figure, Figures, absent, figure, tabulate
from tasks.evaluate.overfitting import BLOCKS, overfitting_probability
from tasks.evaluate.sample import MIN_RETURNS
from tasks.evaluate.sharpe import CONFIDENCE, Ratio, ratio_of
from tasks.evaluate.superiority import Superiority, superiority

if TYPE_CHECKING:
    from data.trials import Earlier

EVEN = 0.5
"""Probability of overfitting from which on the choice is no better than a draw by lot."""
TWICE = 2
"""Multiple of the costs that an edge must outlive."""
_OF_A_RATIO = (
    *("effective_trials", "best_sharpe", "expected_maximum_sharpe", "probabilistic_sharpe", "deflated_sharpe"),
    *("strict_deflated_sharpe", "minimum_track_record"),
)


class Verdict(NamedTuple):
    """Whether the evidence supports what is judged, why in words, and the figures of its ratio if it has one."""

    supported: bool
    reason: str
    deflated: Deflated | None

    @property
    def words(self) -> str:
        """The verdict in words, with its reason."""
        return f"{'supported' if self.supported else 'not proven'}: {self.reason}"


def rank(sets: pd.DataFrame) -> pd.DataFrame:
    """Return the sets that have an objective, the best first; equals keep the order of the sweep."""
    return sets.dropna(subset=["objective"]).sort_values("objective", ascending=False, kind="stable")


def judge(
    sets: pd.DataFrame,
    trials: int,
    *,
    variance: float | None = None,
    market: Floats | None = None,
    earlier: Earlier | None = None,
    sensitivity: pd.DataFrame | None = None,
    walked: float | None = None,
) -> tuple[pd.DataFrame, Verdict]:
    """Return the statistics of a sweep, a row each as in `metrics`, and the verdict, from its rows as in `sweeps`.

    `trials` is how many were ever made on the series and `variance` that of their Sharpe ratios (None: that of the
    sets'), `earlier` those of other runs, `market` the market's returns over the periods of the sweep, `sensitivity`
    the rows of that table for the best set, `walked` what the walk-forward returned.

    The verdict is "supported" where all of this holds, else "not proven", with the first reason:

    1. The deflated Sharpe ratio of the best set, by the effective number of trials, is 95 % or more: the confidence of
       both papers.
    2. Hansen's test gives 5 % or less to a best set as good without superiority over the market held in the same
       measure: the usual size of a test. A rising market makes the first condition easy for whoever holds it at times.
    3. The probability of overfitting is below one half, that of a choice by lot (Bailey et al. 2017).
    4. Out-of-sample, where there is a split, the best set gained; where there is a walk-forward, that did.
    5. At twice the costs it gains still: fees and slippage are estimates, and an error of that size is usual.
    6. The median of its neighbours in the grid gains: a peak alone among losses is luck.

    What cannot be computed, as its metric says, is no reason against a set, but for the first condition. Each condition
    can but refuse, so noise is supported at most as often as the second lets it: one sweep in twenty.
    """
    ranked, measured = rank(sets), sets[sets["failure"].isna()]
    figures: Figures = {
        "sets": figure(len(sets)),
        "failed_sets": figure(len(sets) - len(measured)),
        "trials": figure(trials, note="each counted once, whatever it resembles"),
    }
    if ranked.empty:
        why = "no set has an objective"
        return _told(dict.fromkeys(SWEEP_METRICS, absent(why)) | figures, Verdict(False, why, None))
    best = ranked.iloc[0]
    returns = _returns(measured, None if market is None else len(market))
    clusters = _clusters(returns, earlier, trials, len(measured))
    deflated = _deflated(best, measured, trials, variance, clusters)
    tested = None if returns is None else superiority(returns, market)
    figures |= {"best_set": figure(best["number"]), "best_objective": figure(best["objective"])}
    figures |= _ratios(best, deflated) | _superior(tested, returns, len(measured))
    figures |= {"overfitting_probability": _overfitting(measured)} | _sensitive(sensitivity)
    return _told(figures, _decided(figures, best, walked, deflated))


def judge_run(
    returns: Floats, trials: int, variance: float, earlier: Earlier, alpha: Figure | None, at_twice: float | None
) -> Verdict:
    """Judge a backtest by its returns, and by what else was tried on the series.

    `variance` is that of the Sharpe ratios of all `trials`, `earlier` the returns of those of other runs over the same
    periods, `alpha` the run's with its interval, `at_twice` its cumulative return at twice the costs. It is supported
    where the deflated Sharpe ratio is 95 % or more, the interval of alpha is above 0, so that it is not the market's
    gain alone, and it gains at twice the costs still: conditions 1, 2 and 5 of `judge`, for one set. Where alpha is not
    known, as of less than 90 days, it is not supported: there is no other test of the second.
    """
    own = ratio_of(returns)
    if own is None:
        few = f"{len(returns)} returns, and it takes {MIN_RETURNS}"
        return Verdict(False, few if len(returns) < MIN_RETURNS else "the returns do not vary", None)
    deflated = deflate(own, trials, variance, _clusters(returns[:, None], earlier, trials, 1))
    doubt = deflated.doubt or _owed_to_the_market(alpha) or _dear(at_twice, "it")
    return Verdict(False, doubt, deflated) if doubt else Verdict(True, _support(deflated), deflated)


def _owed_to_the_market(alpha: Figure | None) -> str | None:
    """Return why a run may owe its gain to the market, by its alpha; None where it does not, or nobody asks."""
    if alpha is None or (alpha.low is not None and alpha.low > 0):
        return None
    if alpha.value is None or alpha.low is None:
        return f"what the market does not explain is not known: {alpha.note or 'it has no interval'}"
    interval = f"{alpha.low:.1%} to {alpha.high:.1%}"
    return f"what the market does not explain is {alpha.value:.1%} a year, with an interval of {interval}"


def _returns(measured: pd.DataFrame, periods: int | None) -> Floats | None:
    """Return the returns that the sets have kept, a column a set, 0 after a ruin; None where they have none.

    Rows are the periods of the market; where it is not known, those of the set that has the most.
    """
    kept = [] if "returns" not in measured else [own for own in measured["returns"] if own is not None]
    longest = max(map(len, kept), default=0)
    if not longest:
        return None
    columns = np.zeros((longest if periods is None else periods, len(kept)))
    for column, own in zip(columns.T, kept, strict=True):
        column[: len(own)] = own
    return columns


def _clusters(returns: Floats | None, earlier: Earlier | None, trials: int, measured: int) -> Clusters | None:
    if returns is None:
        return None
    if earlier is None or len(earlier.returns) != len(returns):
        return effective_trials(returns, trials, measured)
    return effective_trials(np.column_stack([returns, earlier.returns]), trials, measured + earlier.trials)


def _deflated(
    best: pd.Series, measured: pd.DataFrame, trials: int, variance: float | None, clusters: Clusters | None
) -> Deflated | None:
    if best["observations"] < MIN_RETURNS or pd.isna(best["period_sharpe"]) or pd.isna(best["kurtosis"]):
        return None
    own = Ratio(*(best[name] for name in ("period_sharpe", "observations", "skewness", "kurtosis")))
    if variance is None:
        ratios = measured["period_sharpe"].dropna()
        variance = float(ratios.var(ddof=1)) if len(ratios) > 1 else 0.0
    return deflate(own, trials, variance, clusters)


def _ratios(best: pd.Series, deflated: Deflated | None) -> Figures:
    if deflated is None:
        few = f"{best['observations']:.0f} returns, and it takes {MIN_RETURNS}"
        why = few if best["observations"] < MIN_RETURNS else "the best set's returns do not vary"
        return dict.fromkeys(_OF_A_RATIO, absent(why))
    number, length = deflated.effective_trials, deflated.minimum_track_record
    luck = f"each trial counted: the luckiest shows {deflated.strict_expected_maximum_sharpe:.3f}"
    return {
        "effective_trials": absent("the sets' returns are not recorded") if number is None else figure(number),
        "best_sharpe": figure(deflated.period_sharpe),
        "expected_maximum_sharpe": figure(deflated.expected_maximum_sharpe),
        "probabilistic_sharpe": figure(deflated.probabilistic_sharpe),
        "deflated_sharpe": figure(deflated.deflated_sharpe),
        "strict_deflated_sharpe": figure(deflated.strict_deflated_sharpe, note=luck),
        "minimum_track_record": absent("never: the ratio is not above 0") if length is None else figure(length),
    }


def _superior(tested: Superiority | None, returns: Floats | None, measured: int) -> Figures:
    if tested is None:
        why = "the sets' returns are not recorded" if returns is None else "too few returns, or none that vary"
        return dict.fromkeys(("reality_check", "superior_ability"), absent(why))
    few = f"of {tested.sets:,} sets" if tested.sets < measured else None
    return {
        "reality_check": figure(tested.reality_check, note=few),
        "superior_ability": figure(tested.consistent, (tested.lower, tested.upper), few),
    }


def _overfitting(measured: pd.DataFrame) -> Figure:
    """Compute the probability of overfitting over the sets that have as many returns as most."""
    usual = measured[measured["blocks"].notna()]
    if len(usual) < 2:
        return absent("needs 2 sets with 64 returns or more, none of them ruined")
    blocks = [dict(row) for row in usual["blocks"]]
    sums, squares = (
        np.array([[row[f"{kind}{block}"] for row in blocks] for block in range(BLOCKS)]) for kind in ("s", "q")
    )
    return figure(overfitting_probability(sums, squares, int(usual["observations"].iloc[0])))


def _sensitive(rows: pd.DataFrame | None) -> Figures:
    """Return what the best set gains at twice the costs, and its neighbours, the worst and the best as interval."""
    found = {
        "return_at_twice_costs": absent("the costs were not varied"),
        "neighbours_return": absent("no set of the sweep is its neighbour"),
    }
    if rows is None:
        return found
    known = rows.dropna(subset=["cumulative_return"])
    costs = known["varied"] == "costs"
    twice = known.loc[costs & (known["step"] == TWICE), "cumulative_return"]
    beside = known.loc[~costs, "cumulative_return"]
    if len(twice):
        found["return_at_twice_costs"] = figure(twice.iloc[0])
    if len(beside):
        found["neighbours_return"] = figure(beside.median(), (beside.min(), beside.max()), f"of {len(beside)}")
    return found


def _decided(figures: Figures, best: pd.Series, walked: float | None, deflated: Deflated | None) -> Verdict:
    doubt = figures["deflated_sharpe"].note if deflated is None else deflated.doubt
    doubt = doubt or _doubt(figures, best, walked)
    if doubt or deflated is None:
        return Verdict(False, doubt or "", deflated)
    overfit, chance = figures["overfitting_probability"].value, figures["superior_ability"].value
    more = "" if chance is None else f", a chance of {chance:.1%} that luck alone makes as good a best set"
    return Verdict(
        True,
        _support(deflated) + more + ("" if overfit is None else f", and a probability of overfitting of {overfit:.0%}"),
        deflated,
    )


def _doubt(figures: Figures, best: pd.Series, walked: float | None) -> str | None:
    """Return the first reason against the best set that is not its ratio; None where there is none."""
    chance, overfit = figures["superior_ability"].value, figures["overfitting_probability"].value
    if chance is not None and chance > 1 - CONFIDENCE:
        return (
            f"of sets that do no better than the market held in the same measure, the best is as good by luck in "
            f"{chance:.1%} of all cases (Hansen's test), and it takes {1 - CONFIDENCE:.0%} or less"
        )
    if overfit is not None and overfit >= EVEN:
        return f"what is best in one half of the time is in the worse half of the sets in the other in {overfit:.0%}"
    if pd.notna(best["out_cumulative_return"]) and best["out_cumulative_return"] <= 0:
        return f"out-of-sample the best set returned {best['out_cumulative_return']:.2%}"
    if walked is not None and walked <= 0:
        return f"the walk-forward returned {walked:.2%}"
    dear, beside = _dear(figures["return_at_twice_costs"].value, "the best set"), figures["neighbours_return"].value
    if dear is None and beside is not None and beside <= 0:
        return f"the sets beside the best one returned {beside:.2%} in the middle: it is a peak of its own"
    return dear


def _dear(at_twice: float | None, what: str) -> str | None:
    return None if at_twice is None or at_twice > 0 else f"at twice the costs {what} returned {at_twice:.2%}"


def _support(deflated: Deflated) -> str:
    tried = deflated.tried.rstrip(",")
    return f"a Sharpe ratio above the luckiest of {tried} with a probability of {deflated.deflated_sharpe:.1%}"


def _told(figures: Figures, verdict: Verdict) -> tuple[pd.DataFrame, Verdict]:
    """Return the figures as a table, the verdict among them, and the verdict."""
    figures = figures | {"verdict": Figure(float(verdict.supported), note=verdict.words)}
    return tabulate(figures, SWEEP_METRICS), verdict
