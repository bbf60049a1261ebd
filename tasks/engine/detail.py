"""Finer candles inside each candle: what tells in which order a bar touched its prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from data.errors import BadInput
from tasks.engine import inputs
from tasks.engine.friction import read_volumes
from tasks.engine.rules import Rules

if TYPE_CHECKING:
    from tasks.engine.kernel import Fine


@dataclass(frozen=True)
class Detail:
    """Finer candles, fitted to the candles that they are to explain."""

    index: pd.Index
    """Of those candles."""
    fine: Fine

    @property
    def explained(self) -> int:
        """Candles whose finer ones are used."""
        return int(np.count_nonzero(self.fine.firsts >= 0))

    @property
    def incomplete(self) -> int:
        """Candles inside which finer ones are absent."""
        from tasks.engine.kernel import INCOMPLETE

        return int(np.count_nonzero(self.fine.firsts == INCOMPLETE))

    @property
    def different(self) -> int:
        """Candles whose finer ones are all there and make up other prices."""
        from tasks.engine.kernel import DIFFERENT

        return int(np.count_nonzero(self.fine.firsts == DIFFERENT))

    def part(self, span: slice) -> Detail:
        """Return the detail of some of the candles, one after the other."""
        return Detail(self.index[span], self.fine._replace(firsts=self.fine.firsts[span]))


def fit_detail(candles: pd.DataFrame, finer: pd.DataFrame, timeframe: timedelta, fineness: timedelta) -> Detail:
    """Fit finer candles to candles, frames as `simulate` takes them; `timeframe` and `fineness` are their lengths.

    A candle has its detail where the finer candles inside it are all there and make up its open, high, low and close
    exactly. Raises BadInput where the one length does not go into the other, and as `simulate` for candles that
    cannot be.
    """
    from tasks.engine import kernel

    if not timedelta(0) < fineness < timeframe or timeframe % fineness:
        raise BadInput(f"detail of {fineness} is none of candles of {timeframe}: give a length that goes into theirs")
    bars, fine = inputs.read_bars(candles), inputs.read_bars(finer)
    inputs.check_prices(bars)
    inputs.check_prices(fine)
    firsts = np.empty(len(bars.ts), np.int64)
    found = kernel.Fine(*fine[1:], firsts, timeframe // fineness, caps=inputs.frozen([]))
    times = inputs.read_instants(bars.ts), inputs.read_instants(fine.ts)
    lengths = timeframe // inputs.MICROSECOND, fineness // inputs.MICROSECOND
    kernel.fit(times[0], *bars[1:], lengths[0], times[1], found, lengths[1])
    found.firsts.flags.writeable = False
    return Detail(candles.index, found)


def fine_of(detail: Detail | None, candles: pd.DataFrame, rules: Rules) -> Fine | None:
    """Return the finer candles as compiled code takes them, and what may be traded in each of the candles.

    None where it need not look into a bar by other rules. Raises BadInput for those of other candles, and where the
    candles lack the volume that is asked for.
    """
    from tasks.engine import kernel

    index, capped = candles.index, rules.max_volume < np.inf
    if detail is not None:
        if not (detail.index is index or detail.index.equals(index)):
            raise BadInput("the detail was fitted to other candles: fit it to these")
        fine = detail.fine
    elif capped or rules.limit_bars > 0.0:
        none, firsts = inputs.frozen([]), np.empty(0, np.int64)
        firsts.flags.writeable = False
        fine = kernel.Fine(none, none, none, none, firsts, 0, caps=none)
    else:
        return None
    if not capped:
        return fine
    return fine._replace(caps=inputs.frozen(rules.max_volume * read_volumes(candles, "max_volume is a fraction of it")))
