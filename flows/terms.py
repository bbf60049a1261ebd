"""What a run's manifest says that its account trades by, and at which costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.markets import Market
from data.timeframe import parse_timeframe
from flows.parameters import Entering
from tasks.engine.fees import read_tiers
from tasks.engine.slippage import read_slippage, written

_PARTS = ("costs", "sizing", "stops", "limits", "entries")


def terms_in(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the terms of a backtest, by their names in `tasks.engine.rules.Terms`."""
    return {name: value for part in _PARTS for name, value in manifest[part].items()}


def portfolio_terms_in(manifest: Mapping[str, Any], multiple: float = 1) -> dict[str, Any]:
    """Return how a portfolio trades, as `simulate_portfolio` takes it, at so many times its costs."""
    terms = {symbol: of["terms"] for symbol, of in manifest["markets"].items()}
    return {
        "cash": manifest["cash"],
        "timeframe": parse_timeframe(manifest["timeframe"]),
        "markets": {symbol: of | {"fee": of["fee"] * multiple} for symbol, of in terms.items()},
        **times(manifest["costs"], multiple),
        **manifest["sizing"],
        **manifest["rebalancing"],
        **manifest["stops"],
        **manifest["limits"],
    }


def costs_of(parameters: Entering, market: Market) -> dict[str, Any]:
    """Return the costs in a market as a manifest bears them; by tiers, `fee` is that of the first."""
    tiers, waits = read_tiers(parameters.fee_tiers), parameters.order_type == "limit"
    maker = market.maker if parameters.fee is None and parameters.maker_fee is None else parameters.maker_fee
    return {
        "fee": tiers[0][2] if tiers else parameters.fee_at(market.taker),
        "maker_fee": maker if waits and not tiers else None,
        "fee_tiers": [list(tier) for tier in tiers] or None,
        "slippage": parameters.slippage,
        "borrow": parameters.borrow,
        "funding": parameters.funding,
        "funding_hours": parameters.funding_hours,
    }


def cost_columns(manifest: Mapping[str, Any]) -> dict[str, float]:
    """Return fee and slippage as the table runs has them: what grows with an order's size is in the manifest alone."""
    costs = manifest["costs"]
    return {"fee": costs["fee"], "slippage": read_slippage(costs["slippage"]).fraction}


def times(costs: Mapping[str, Any], multiple: float) -> dict[str, Any]:
    """Return so many times the costs: fees, slippage, borrowing and funding."""
    scaled = dict(costs)
    for name in ("fee", "maker_fee", "borrow", "funding"):
        if costs.get(name) is not None:
            scaled[name] = costs[name] * multiple
    if costs.get("fee_tiers"):
        scaled["fee_tiers"] = [[volume, *(fee * multiple for fee in fees)] for volume, *fees in costs["fee_tiers"]]
    scaled["slippage"] = written(read_slippage(costs["slippage"]).times(multiple))
    return scaled
