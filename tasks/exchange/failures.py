"""What a failed call of ccxt means to the one who made it: try later, never again, or find out what happened.

    a read failed                      TryLater, or Refused where asking again is pointless
    an order or cancellation failed    OutcomeUnknown, unless something proves that it was not done:
                                       the exchange's own refusal, or no connection at all

Not a proof: timeouts, resets, HTTP 5xx, damaged answers, an order without an id, and those of Kraken's words that its
gateway says without knowing what the engine did: EService:Timeout, EService:Unavailable, EService:Busy,
EGeneral:Internal error, EDatabase:Internal error (orders were seen to be made after each of them).
A proof: every other EOrder:, EGeneral:, EAPI:, EQuery:, ETrade:, EAuth:, ESession: and EFunding:, for these are said
before the engine takes the order or by it in place of taking it; EService:Deadline elapsed, which the engine says of
an order that came too late; rate limits, "Throttled" and "Market in ... mode", which are said at the door.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from data.errors import ExchangeError, JarvisError, OutcomeUnknown, Refused, TryLater

Meaning = Literal["later", "never", "unknown"]

NOT_UNDERSTOOD = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What ccxt lets through where an answer has another shape than the exchange's documentation says."""

_KRAKEN_SAYS = re.compile(r'"([EW][A-Za-z]+:[^"]*)"')
_TOO_LATE = "EService:Deadline elapsed"
_NEVER = ("EOrder:", "EGeneral:", "EAPI:", "EQuery:", "ETrade:", "EAuth:", "ESession:", "EFunding:", _TOO_LATE)
_LATER = (
    "EAPI:Invalid nonce",
    "EAPI:Rate limit exceeded",
    "EGeneral:Temporary lockout",
    "EGeneral:Too many requests",
    "EOrder:Domain rate limit exceeded",
    "EOrder:Orders limit exceeded",
    "EOrder:Rate limit exceeded",
    "EOrder:Scheduled orders limit exceeded",
    "EService: Throttled",
    "EService:Market in",
    "EService:Throttled",
)
_UNKNOWN = ("EDatabase:", "EGeneral:Internal error", "EGeneral:Unknown error", "EOrder:Internal error")

_BITFINEX_REFUSES = re.compile(
    r"invalid|permission|not enough|available balance is only|minimum size|maximum size|not found", re.IGNORECASE
)
"""Bitfinex has one code, 10001, for refusals and for failures of its own: the text tells them apart."""


def sort_failure(error: Exception, doing: str = "", *, may_change: bool) -> JarvisError:
    """Return what a failed call means: an error to raise in its place.

    `may_change` says whether the call places or cancels orders. `doing` comes first in the message, which is one
    line without pages of HTML, without queries of addresses and without keys (the guard took them out).
    """
    if isinstance(error, ExchangeError) and doing:
        return type(error)(f"{doing}: {error}")
    if isinstance(error, JarvisError):
        return error
    kind: type[ExchangeError] = {"later": TryLater, "never": Refused, "unknown": OutcomeUnknown}[_meaning(error)]
    if kind is OutcomeUnknown and not may_change:
        kind = TryLater
    return kind(f"{doing}: {said(error)}" if doing else said(error))


def said(error: Exception) -> str:
    """Return what an error says, in one line: Kraken's own words where it answered any."""
    import ccxt

    words = _KRAKEN_SAYS.findall(str(error))
    if words:
        return ", ".join(words)[:200]
    lines = str(error).strip().splitlines()
    first = re.sub(r"(https?://[^\s?]*)\?\S*", r"\1", lines[0]).partition("<")[0].strip()[:200] if lines else ""
    if not isinstance(error, ccxt.BaseError):
        return f"the exchange's answer was not understood: {type(error).__name__}: {first}"
    return f"{type(error).__name__}: {first or 'no reason given'}"


def _meaning(error: Exception) -> Meaning:
    import ccxt

    if getattr(error, "unsent", False):
        return "later"
    words = _KRAKEN_SAYS.findall(str(error))
    if words:
        return _worst(_meaning_of(word) for word in words)
    if str(error).startswith("bitfinex ") and type(error) in (ccxt.PermissionDenied, ccxt.ExchangeError):
        return "never" if _BITFINEX_REFUSES.search(str(error)) else "unknown"
    if isinstance(error, (ccxt.DDoSProtection, ccxt.InvalidNonce, ccxt.OnMaintenance, ccxt.RateLimitExceeded)):
        return "later"
    if isinstance(error, ccxt.ExchangeError) and type(error) is not ccxt.ExchangeError:
        return "never"
    return "unknown"


def _meaning_of(word: str) -> Meaning:
    if word.startswith(_LATER):
        return "later"
    return "never" if word.startswith(_NEVER) and not word.startswith(_UNKNOWN) else "unknown"


def _worst(meanings: Iterable[Meaning]) -> Meaning:
    return min(meanings, key=("unknown", "never", "later").index)
