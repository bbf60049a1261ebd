"""Which practice exchange it is: its markets, their seed, and where their candles come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data.errors import BadInput
from tasks.exchange.practice.market.market import Market, generated, replayed
from tasks.exchange.practice.market.markets_known import known_rules

if TYPE_CHECKING:
    import pandas as pd

GENERATED = "generated"
FORMAT = 1
"""Of the state; another one cannot be taken up."""
_SAMPLE = {"exchange": "sample", "symbol": "AAPL", "timeframe": "1d"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What must be the same for a state to be taken up again. BadInput for symbols or candles that cannot be."""

    symbols: tuple[str, ...] = ("BTC/USD",)
    seed: int = 1
    candles: str = GENERATED
    """`generated`, `sample`, or EXCHANGE:TIMEFRAME of the lake."""

    def __post_init__(self) -> None:
        if not self.symbols or len(set(self.symbols)) < len(self.symbols):
            raise BadInput("a practice exchange needs markets, each of them once: --symbol BTC/USD --symbol ETH/USD")
        if self.candles not in (GENERATED, "sample") and ":" not in self.candles:
            raise BadInput(
                f"'{self.candles}' are no candles: write generated, sample, or EXCHANGE:TIMEFRAME of the lake"
            )

    def identity(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return {"format": FORMAT, "symbols": list(self.symbols), "seed": self.seed, "candles": self.candles}

    def begin(self, start: int) -> dict[str, Any]:
        """Return, as JSON, what must be remembered for `markets` to return the same for ever.

        `start` is the time, in nanoseconds since 1970 UTC, to which candles of the lake lead up.
        """
        if self.candles == GENERATED:
            return {"start": start, "series": {}}
        from data.candles import fingerprint

        frames = {symbol: self._frame(symbol) for symbol in self.symbols}
        marks = {s: {"until": str(frame.index[-1]), "fingerprint": fingerprint(frame)} for s, frame in frames.items()}
        return {"start": start, "series": marks}

    def markets(self, begun: Mapping[str, Any]) -> list[Market]:
        """Return the markets. Raises BadInput if the lake's candles are no longer those that it began with."""
        rules = [known_rules(symbol) for symbol in self.symbols]
        if self.candles == GENERATED:
            return [generated(each, self.seed) for each in rules]
        import pandas as pd

        from data.candles import fingerprint

        markets = []
        for each in rules:
            mark = begun["series"][each.symbol]
            frame = self._frame(each.symbol).loc[: pd.Timestamp(mark["until"])]
            if frame.empty or fingerprint(frame) != mark["fingerprint"]:
                told = f"the lake's candles of {each.symbol} ({self.candles})"
                raise BadInput(f"{told} are not those that this exchange began with: give another --state folder")
            markets.append(replayed(each, frame, self._series(each.symbol)["timeframe"], begun["start"], self.seed))
        return markets

    def _series(self, symbol: str) -> dict[str, str]:
        if self.candles == "sample":
            return _SAMPLE
        exchange, _, timeframe = self.candles.partition(":")
        return {"exchange": exchange, "symbol": symbol, "timeframe": timeframe}

    def _frame(self, symbol: str) -> pd.DataFrame:
        """Return the lake's candles of a market."""
        from data.candles import read_candles
        from data.writer import Lake

        series = self._series(symbol)
        frame = read_candles(Lake.open(), series["exchange"], series["symbol"], series["timeframe"])
        if frame.empty:
            told = " ".join(f"--{name} {value}" for name, value in series.items())
            raise BadInput(f"the lake has no such candles: `jarvis collect {told}` brings them")
        return frame
