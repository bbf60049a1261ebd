"""Kraken's downloadable history: files such as `XBTUSD_60.csv`, alone or by the thousand in a ZIP.

They have no header; their columns are ts (Unix seconds), open, high, low, close, volume, trades, and intervals without
a trade are left out. Source: Kraken, "Downloadable historical OHLCVT data".
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from data.errors import BadInput

HEADER = ("ts", "open", "high", "low", "close", "volume", "trades")

_NAME = re.compile(r"([A-Z0-9]+)_([1-9]\d{0,5})\.csv", re.IGNORECASE)
_QUOTES = (
    "PYUSD",
    "RLUSD",
    "USDT",
    "USDC",
    "USD",
    "EUR",
    "GBP",
    "CAD",
    "JPY",
    "AUD",
    "CHF",
    "AED",
    "DAI",
    "XBT",
    "ETH",
)
_OLD_BASES = ("ETC", "ETH", "LTC", "MLN", "REP", "XBT", "XDG", "XLM", "XMR", "XRP", "ZEC")
_OLD_PAIR = re.compile(rf"X({'|'.join(_OLD_BASES)})[XZ](USD|EUR|GBP|CAD|JPY|AUD|XBT|ETH)")
_RENAMED = {"XBT": "BTC", "XDG": "DOGE"}
_SHOWN = 12


class KrakenName(NamedTuple):
    """What the name of such a file says."""

    symbol: str
    timeframe: str


def parse_name(name: str) -> KrakenName | None:
    """Read the market and timeframe from a file's name; None for a file that is not named so.

    >>> parse_name("XBTUSD_60.csv")
    KrakenName(symbol='BTC/USD', timeframe='1h')
    >>> parse_name("XETHZEUR_1440.csv")
    KrakenName(symbol='ETH/EUR', timeframe='1d')
    """
    match = _NAME.fullmatch(name)
    symbol = _symbol(match[1].upper()) if match else None
    if match is None or symbol is None:
        return None
    return KrakenName(symbol, _timeframe(int(match[2])))


def _symbol(pair: str) -> str | None:
    old = _OLD_PAIR.fullmatch(pair)
    if old is not None:
        base, quote = old.groups()
    else:
        quote = next((quote for quote in _QUOTES if pair.endswith(quote)), "")
        base = pair.removesuffix(quote)
    if not base or not quote:
        return None
    return f"{_RENAMED.get(base, base)}/{_RENAMED.get(quote, quote)}"


def _timeframe(minutes: int) -> str:
    units = (("w", 10080), ("d", 1440), ("h", 60), ("m", 1))
    return next(f"{minutes // length}{unit}" for unit, length in units if minutes % length == 0)


@contextmanager
def open_member(path: Path, symbol: str | None, timeframe: str | None) -> Iterator[tuple[str, IO[str]]]:
    """Open the one file of a ZIP that holds a market and timeframe: its name, and its text as a stream.

    It is unpacked as it is read, never to the disk. Raises BadInput for what is not a whole ZIP, and, with a list of
    what there is, where no file or more than one fits.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            member = _choose(archive, path.name, symbol, timeframe)
            with archive.open(member) as stream:
                yield PurePosixPath(member).name, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    except (
        zipfile.BadZipFile,
        zipfile.LargeZipFile,
        EOFError,
        NotImplementedError,
        RuntimeError,
        zlib.error,
    ) as error:
        raise BadInput(f"{path.name} cannot be unpacked: {error}; download it again") from None


def _choose(archive: zipfile.ZipFile, name: str, symbol: str | None, timeframe: str | None) -> str:
    named = {member: parse_name(PurePosixPath(member).name) for member in archive.namelist()}
    there = {member: of for member, of in named.items() if of is not None}
    if not there:
        raise BadInput(f"{name} holds no file named as Kraken's, such as XBTUSD_60.csv")
    fitting = [m for m, of in there.items() if symbol in (None, of.symbol) and timeframe in (None, of.timeframe)]
    if len(fitting) == 1:
        return fitting[0]
    wanted = " ".join(word for word in (symbol, timeframe) if word) or "one"
    near = fitting or [m for m, of in there.items() if of.symbol == symbol] or list(there)
    listed = sorted({f"{there[m].symbol} {there[m].timeframe}" for m in near})
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    problem = f"has no {wanted}; it holds" if not fitting else "holds several; name the symbol and timeframe of one:"
    raise BadInput(f"{name} {problem} {', '.join(listed[:_SHOWN])}{more}")
