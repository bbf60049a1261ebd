"""What the lake's runs have tried on a series: the count that statistics of the best of them must know."""

from __future__ import annotations

from data.views import read
from data.writer import Lake

_TRIED = """
    WITH own AS (
        SELECT run_id, kind, strategy, parameters FROM runs WHERE exchange = ? AND symbol = ? AND timeframe = ?
    )
    SELECT strategy, parameters FROM own WHERE kind = 'backtest'
    UNION
    SELECT own.strategy, sweeps.parameters FROM sweeps JOIN own USING (run_id) WHERE failure IS NULL
"""


def tried(lake: Lake, exchange: str, symbol: str, timeframe: str) -> set[tuple[str, str]]:
    """Return every strategy with parameters (JSON) that a recorded backtest or sweep has tried on the series, once.

    Raises LakeError where the runs cannot be read.
    """
    rows = read(lake, _TRIED, [exchange, symbol, timeframe], tables={"runs", "sweeps"})
    return set(zip(rows["strategy"].to_pylist(), rows["parameters"].to_pylist(), strict=True))
