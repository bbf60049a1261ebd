"""The statistics of a sweep: rows of the table `metrics` under the sweep's `run_id`, each defined once."""

from __future__ import annotations

from data.metrics import Metric

_RATIO = "Bailey and Lopez de Prado (2012)"
_DEFLATED = "Bailey and Lopez de Prado (2014)"
_CLUSTERS = "Lopez de Prado and Lewis (2019)"

SWEEP_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "verdict", "count", "Verdict", "1: supported, 0: not proven; the note says so in words, with the reason."
        ),
        Metric("sets", "count", "Sets", "Parameter sets of the sweep."),
        Metric("failed_sets", "count", "Failed Sets", "Sets that could not be tried; their rows say why."),
        Metric(
            "best_set", "count", "Best Set", "Number of the set with the highest objective, the first among equals."
        ),
        Metric("best_objective", "ratio", "Best Objective", "Objective of the best set, in-sample."),
        Metric(
            "trials",
            "count",
            "Trials",
            "Different strategies and parameters that recorded runs have tried on this series, this sweep's included.",
            _DEFLATED,
        ),
        Metric(
            "effective_trials",
            "count",
            "Effective Trials",
            "How many of them are different: clusters of those whose returns have half of their variance in common.",
            _CLUSTERS,
        ),
        Metric(
            "expected_maximum_sharpe",
            "ratio",
            "Sharpe of the Luckiest",
            "Sharpe ratio of one period that the best of the effective trials shows without any skill.",
            f"{_DEFLATED}, eq. 1; {_CLUSTERS}",
        ),
        Metric("best_sharpe", "ratio", "Best Sharpe", "Sharpe ratio of one period of the best set, in-sample."),
        Metric(
            "probabilistic_sharpe",
            "fraction",
            "Probabilistic Sharpe",
            "Probability that the best set's true Sharpe ratio is above 0, were it the only trial.",
            f"{_RATIO}, eq. 11",
        ),
        Metric(
            "deflated_sharpe",
            "fraction",
            "Deflated Sharpe",
            "Probability that it is above the Sharpe ratio of the luckiest of the effective trials.",
            f"{_DEFLATED}, eq. 2; {_CLUSTERS}",
        ),
        Metric(
            "strict_deflated_sharpe",
            "fraction",
            "Strict Deflated Sharpe",
            "The same, each trial counted as independent of the others.",
            f"{_DEFLATED}, eq. 2",
        ),
        Metric(
            "minimum_track_record",
            "count",
            "Minimum Track Record",
            "Returns it takes until a Sharpe ratio of the best set's size is above 0 with 95 % confidence.",
            f"{_RATIO}, eq. 13",
        ),
        Metric(
            "overfitting_probability",
            "fraction",
            "Probability of Overfitting",
            "How often the best set of one half of the time is in the worse half of the sets in the other.",
            "Bailey, Borwein, Lopez de Prado and Zhu (2017)",
        ),
        Metric(
            "reality_check",
            "fraction",
            "Reality Check",
            "How often the best mean return is as high by luck, if no set beats the market held in the same measure.",
            "White (2000)",
        ),
        Metric(
            "superior_ability",
            "fraction",
            "Superior Ability",
            "The same of the best ratio of mean to deviation, clearly bad sets left out; the interval has the p-values "
            "if only good ones counted, and if all did.",
            "Hansen (2005)",
        ),
        Metric(
            "return_at_twice_costs",
            "fraction",
            "Return at Twice the Costs",
            "Cumulative return of the best set with fee and slippage doubled.",
        ),
        Metric(
            "neighbours_return",
            "fraction",
            "Return of the Neighbours",
            "Cumulative return of the sets beside the best one, the median; the interval has the worst and the best.",
        ),
    )
}

WALK_FORWARD_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "walk_forward_return",
            "fraction",
            "Walk-Forward Return",
            "Return of one account over all tests, each traded with the set that was best before it.",
            "Pardo (2008)",
        ),
        Metric("walk_forward_sharpe", "ratio", "Walk-Forward Sharpe", "Sharpe ratio of that account, a year."),
        Metric("walk_forward_drawdown", "fraction", "Walk-Forward Drawdown", "Maximum drawdown of that account."),
        Metric("walk_forward_trades", "count", "Walk-Forward Trades", "Round trips of that account."),
    )
}
"""What a sweep with a walk-forward has beside them."""
