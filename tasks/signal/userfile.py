"""Strategies from a file of the user's, named by its path."""

from __future__ import annotations

import hashlib
import inspect
import sys
import threading
from pathlib import Path
from types import ModuleType

from data.errors import BadInput, unknown
from tasks.signal.blame import line_in, one_line
from tasks.signal.strategy import Strategy

_HASH = "__jarvis_source_sha256__"
_LOADING = threading.RLock()


def load(path: Path, wanted: str | None) -> type[Strategy]:
    """Return the strategy class `wanted` of the file; without a name the file must hold exactly one.

    The same content is loaded once in a process. Raises BadInput when the file is not there, does not run, or does not
    hold the strategy, with the line where there is one.
    """
    module = _module(path)
    found = {strategy.__name__: strategy for strategy in strategies_of(module)}
    if wanted is not None and wanted in found:
        return found[wanted]
    _refuse_unfinished(module, path, wanted)
    if wanted is not None:
        raise unknown(f"strategy in {path}", wanted, found)
    if not found:
        raise BadInput(f"{path} holds no strategy: define a class derived from tasks.signal.Strategy")
    if len(found) > 1:
        raise BadInput(f"{path} holds {len(found)} strategies: name one of them, as {path}:{min(found)}")
    return next(iter(found.values()))


def strategies_of(module: ModuleType) -> list[type[Strategy]]:
    """Return the strategies that the module defines itself; those that it imports are not its own."""
    return [strategy for strategy in _derived(module) if not inspect.isabstract(strategy)]


def loaded_hash(strategy: type[Strategy]) -> str | None:
    """Return the sha256 of the user's file from which the strategy was loaded; None if it was imported otherwise."""
    return getattr(sys.modules.get(strategy.__module__), _HASH, None)


def _module(path: Path) -> ModuleType:
    try:
        source = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"strategy file {str(path)!r} cannot be read: {reason.lower()}") from None
    digest = hashlib.sha256(source).hexdigest()
    place = str(path.resolve())
    # pydantic looks up annotations in sys.modules, so the module needs a name there, new with each content.
    name = f"jarvis_strategy_{hashlib.sha256(place.encode()).hexdigest()[:12]}_{digest[:12]}"
    with _LOADING:
        return sys.modules.get(name) or _run(source, name, path, place)


def _run(source: bytes, name: str, path: Path, place: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = place
    setattr(module, _HASH, hashlib.sha256(source).hexdigest())
    sys.modules[name] = module
    try:
        code = compile(source, place, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - to run the user's file is what was asked for
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _broken(path, place, error) from error
    return module


def _broken(path: Path, place: str, error: BaseException) -> BadInput:
    if isinstance(error, SyntaxError) and error.filename == place:
        return BadInput(f"{path}, line {error.lineno}: {error.msg}")
    line = line_in(place, error)
    where = f"{path}, line {line}" if line else str(path)
    return BadInput(f"{where}: {one_line(error)}")


def _derived(module: ModuleType) -> list[type[Strategy]]:
    classes = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, Strategy)]
    return [value for value in dict.fromkeys(classes) if value.__module__ == module.__name__]


def _refuse_unfinished(module: ModuleType, path: Path, wanted: str | None) -> None:
    """Raise BadInput for a class that would be a strategy if it defined all that one needs."""
    unfinished = [value for value in _derived(module) if inspect.isabstract(value)]
    for strategy in unfinished:
        if wanted == strategy.__name__ or (wanted is None and len(_derived(module)) == len(unfinished)):
            lacking = " and ".join(sorted(strategy.__abstractmethods__))
            line = inspect.getsourcelines(strategy)[1]
            raise BadInput(f"{path}, line {line}: {strategy.__name__} does not define {lacking}")
