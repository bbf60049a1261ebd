"""The collect flow: candles from their source into the lake."""

from __future__ import annotations

from prefect import flow

from data.writer import Lake
from flows.parameters import CollectParameters
from flows.report import publish_facts
from tasks.fetch import Collected, collect_series

_SAMPLE = CollectParameters(exchange="sample", symbol="AAPL", timeframe="1d")


@flow(name="collect")
def collect(parameters: CollectParameters = _SAMPLE) -> Collected:
    """Bring candles into the lake: from an exchange what the lake lacks, from a file all that is in it."""
    collected: Collected = collect_series(Lake.open(), **dict(parameters))
    publish_facts(collected.series, collected.facts)
    return collected
