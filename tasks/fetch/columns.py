"""Columns of the user's files: which is which, and their texts as numbers and times."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from data.errors import BadInput

Place = Callable[[int], str]
"""Names a row, given by its position, for people: `prices.csv line 17`."""

_NAMES = {
    "ts": (
        *("ts", "timestamp", "opentime", "unix", "unixtime", "unixtimestamp", "epoch", "datetime", "gmttime", "t"),
        *("date", "time", "indexlevel0", "unnamed0", ""),
    ),
    "open": ("open", "o", "openprice", "first"),
    "high": ("high", "h", "highprice", "max"),
    "low": ("low", "l", "lowprice", "min"),
    "close": ("close", "c", "closeprice", "closelast", "last", "price"),
    "volume": ("volume", "v", "vol", "basevolume", "tickvolume", "tickvol"),
    "trades": ("trades", "tradecount", "tradescount", "numberoftrades", "numtrades", "count", "n"),
}
"""Names by which a column is known, letters and digits only, the surest first."""

_EPOCHS = {"s": (1e8, 1e11), "ms": (1e11, 1e14), "us": (1e14, 1e17), "ns": (1e17, 1e20)}
"""Units of Unix time, told apart by size: each range begins in 1973."""

_WHOLE = re.compile(r"\d+")
_DAY_FIRST = re.compile(r"\d{4}[./]\d{2}[./]\d{2}\b")


class Columns(NamedTuple):
    """Positions of the columns in a row; the time may be written in two, a date and a time of day."""

    ts: tuple[int, ...]
    numbers: dict[str, int]


def recognise(names: Sequence[str], file: str, symbol: str | None = None) -> Columns:
    """Tell from a header which column is which, whatever the case and the usual synonyms.

    Where several columns could be the time, the surest name counts; `date` beside `time` are read together. Columns
    that are not needed are ignored. Raises BadInput naming the columns that are missing or there twice.
    """
    plain = [re.sub(r"[^a-z0-9]", "", name.casefold()) for name in names]
    found: dict[str, int] = {}
    for column, known in _NAMES.items():
        base = () if symbol is None else (f"volume{symbol.split('/')[0].casefold()}",)
        name = next((n for n in (*known, *(base if column == "volume" else ())) if n in plain), None)
        if name is None:
            continue
        if plain.count(name) > 1:
            raise BadInput(f"{file} line 1: has {plain.count(name)} columns named {name}; leave one")
        found[column] = plain.index(name)
    missing = [column for column in _NAMES if column not in found and column != "trades"]
    if missing:
        listed = ", ".join(name.strip() or "(no name)" for name in names[:20])
        wanted = " and ".join("timestamp" if column == "ts" else column for column in missing)
        raise BadInput(f"{file} line 1: no column for {wanted}; there are {listed}")
    ts = found.pop("ts")
    is_pair = plain[ts] == "date" and plain.count("time") == 1
    return Columns((ts, plain.index("time")) if is_pair else (ts,), found)


def is_number(text: str) -> bool:
    """Tell whether a cell is a number, as in a file without a header."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # Python reads 1_000 as a number; no exchange writes one so


def to_numbers(texts: Sequence[str], column: str, place: Place) -> NDArray[np.float64]:
    """Return texts as float64. Raises BadInput for the first that is empty or not a number."""
    try:
        return np.asarray(pa.array(texts, pa.string()).cast(pa.float64()))
    except pa.ArrowInvalid:
        row = next((row for row, text in enumerate(texts) if not is_number(text)), None)
    if row is None:  # numbers all the same, with blanks around them
        return np.array(texts, dtype=np.float64)
    if not texts[row].strip():
        raise BadInput(f"{place(row)}: {column} is empty")
    hint = "; write decimals with a point" if "," in texts[row] else ""
    raise BadInput(f"{place(row)}: {column} is not a number: '{texts[row][:40]}'{hint}")


def time_format(text: str) -> str:
    """Tell how times are written from the first one: the unit of a Unix time, or `iso` for a date."""
    text = text.strip()
    if not is_number(text) or (len(text) == 8 and _WHOLE.fullmatch(text)):  # 20210131 is a date
        return "iso"
    size = abs(float(text))
    return next((unit for unit, (least, most) in _EPOCHS.items() if least <= size < most), "iso")


def to_times(texts: Sequence[str], written: str, place: Place) -> NDArray[np.datetime64]:
    """Return texts as datetime64[us] in UTC; a time without an offset is UTC.

    Raises BadInput for the first that is not written as the others.
    """
    texts = [text.strip() for text in texts]
    if written != "iso":
        return _from_epochs(_epochs(texts, place), written, place)
    if _DAY_FIRST.match(texts[0]):
        texts = [_DAY_FIRST.sub(lambda day: re.sub("[./]", "-", day[0]), text, count=1) for text in texts]
    texts = [text.removesuffix(" UTC") for text in texts]
    times = pd.DatetimeIndex(pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce"))
    if times.hasnans:
        row = int(times.isna().argmax())
        raise BadInput(
            f"{place(row)}: time is not understood: '{texts[row][:40]}'; write 2021-01-31 14:00 (UTC) or Unix time"
        )
    return times.as_unit("us").tz_localize(None).to_numpy()


def _from_epochs(epochs: NDArray[np.int64] | NDArray[np.float64], written: str, place: Place) -> NDArray[np.datetime64]:
    least, most = _EPOCHS[written]
    strange = ~((epochs >= least) & (epochs < most))
    if strange.any():
        row = int(strange.argmax())
        raise BadInput(f"{place(row)}: time is not Unix time in {written} as in the first row: {epochs[row]:.20g}")
    if written == "ns":
        return (epochs.astype(np.int64) // 1000).astype("datetime64[us]")
    factor = {"s": 1_000_000, "ms": 1_000, "us": 1}[written]
    return np.asarray(np.round(epochs * factor), dtype=np.int64).astype("datetime64[us]")


def _epochs(texts: Sequence[str], place: Place) -> NDArray[np.int64] | NDArray[np.float64]:
    try:
        return np.asarray(pa.array(texts, pa.string()).cast(pa.int64()))
    except pa.ArrowInvalid:
        return to_numbers(texts, "time", place)
