"""Every error that Jarvis raises on purpose.

    JarvisError            the work could not be done             exit code 1
    ├── BadInput           what the user gave cannot be used      exit code 2
    ├── SourceError        market data could not be had
    ├── ExchangeError      an exchange did not do what was asked
    │   ├── TryLater       it did nothing now; the same may work later
    │   │   └── Taken      another process is at it
    │   ├── Refused        it will not; the same must not be asked again
    │   └── OutcomeUnknown it may have done it, or not: find out before anything else
    ├── StrategyError      a strategy raised, or returned nonsense
    └── LakeError          the lake could not be read or written

The message is one line: what was wrong, where, and what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class JarvisError(Exception):
    """The work could not be done; the message says why and what to do."""

    exit_code = 1


class BadInput(JarvisError):
    """What the user gave cannot be used."""

    exit_code = 2


class SourceError(JarvisError):
    """Market data could not be had from its source."""


class ExchangeError(JarvisError):
    """An exchange did not do what it was asked to do."""


class TryLater(ExchangeError):
    """The exchange did nothing, for a reason that may pass: the same may be asked again."""


class Taken(TryLater):
    """Another process has what only one can have at a time."""


class Refused(ExchangeError):
    """The exchange will not do it: the same must not be asked again."""


class OutcomeUnknown(ExchangeError):
    """The exchange may have done it, or not: find out before anything else is asked."""


class StrategyError(JarvisError):
    """A strategy raised an error or returned something that is no signal."""


class LakeError(JarvisError):
    """The lake could not be read or written."""


def unknown(kind: str, name: str, known: Iterable[str]) -> BadInput:
    """Build the error for a misspelt name, with the nearest known one.

    >>> str(unknown("strategy", "sma", ["sma_crossover", "macd"]))
    "unknown strategy 'sma': did you mean 'sma_crossover'? Known: macd, sma_crossover"
    """
    names = sorted(known)
    begins = [n for n in names if name and (n.startswith(name) or name.startswith(n))]
    near = begins or difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    guess = f" did you mean '{near[0]}'?" if near else ""
    listed = ", ".join(names) if names else "none"
    return BadInput(f"unknown {kind} '{name}':{guess} Known: {listed}")
