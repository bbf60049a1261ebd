"""The kill switch: a file for all symbols, and one for each that is halted alone.

It needs no server and no lake. Whoever is about to send an order looks at the files, each time; a file that cannot be
read halts as one that can, so that an empty one, made by hand or on a full disk, does too.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote

from data.errors import BadInput, JarvisError
from data.settings import settings

FLATTEN = "flatten"
"""The reason of a halt after which all is sold."""

_ALL = "all"
_PREFIX = "symbol-"
_UNREADABLE = "the file of the halt cannot be read"


class Halt(NamedTuple):
    """A halt in force."""

    at: datetime
    """When it was asked for, UTC; when this was looked at, if the file does not say it."""
    reason: str


def halted(symbol: str | None = None) -> Halt | None:
    """Return the halt of all symbols or, failing that, the one of this symbol; None where orders may be sent."""
    names = [_ALL] if symbol is None else [_ALL, _name(symbol)]
    return next((found for name in names if (found := _read(_folder() / name))), None)


def halts() -> dict[str | None, Halt]:
    """Return every halt in force by its symbol, that of all symbols under None."""
    folder = _folder()
    try:
        files = sorted(file.name for file in folder.iterdir())
    except FileNotFoundError:
        return {}
    except OSError:
        files = [_ALL]
    known = {name: _symbol(name) for name in files if name == _ALL or name.startswith(_PREFIX)}
    return {symbol: found for name, symbol in known.items() if (found := _read(folder / name))}


def halt(reason: str, symbol: str | None = None) -> None:
    """Halt all symbols, or one; a later halt takes the place of an earlier. On the disk when this returns.

    Raises JarvisError when it could not be noted: then nothing is halted.
    """
    path = _folder() / _name(symbol)
    text = json.dumps({"at": datetime.now(UTC).isoformat(), "reason": reason})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(path, text)
        except OSError:  # a full disk has no room for the reason; the name of a file is enough
            path.touch()
        _fsync(path.parent)
    except OSError as error:
        raise JarvisError(
            f"NOT HALTED: {path} cannot be written ({error.strerror}); end the trading process instead"
        ) from None


def resume(symbol: str | None = None) -> bool:
    """Lift the halt of all symbols, or the one of this symbol alone; False where there was none."""
    path = _folder() / _name(symbol)
    try:
        path.unlink()
        _fsync(path.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise JarvisError(f"still halted: {path} cannot be removed ({error.strerror})") from None
    return True


def _folder() -> Path:
    return settings().state / "halt"


def _name(symbol: str | None) -> str:
    if symbol is None:
        return _ALL
    if not symbol.strip():
        raise BadInput("the symbol is empty: name a market such as BTC/USD, or none to mean all")
    return _PREFIX + quote(symbol, safe="")


def _symbol(name: str) -> str | None:
    return None if name == _ALL else unquote(name.removeprefix(_PREFIX))


def _read(path: Path) -> Halt | None:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return Halt(datetime.fromisoformat(known["at"]), str(known["reason"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return Halt(datetime.now(UTC), _UNREADABLE)


def _write(path: Path, text: str) -> None:
    """Put a whole file in its place, or leave what was there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _fsync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
