"""Strategies by name: those that come with Jarvis, those of installed packages, and those in a file of the user's.

A package offers a strategy by an entry point in the group `jarvis.strategies`, called as the strategy:

    [project.entry-points."jarvis.strategies"]
    my_strategy = "my_package.module:MyStrategy"
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import re
import sys
import warnings
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from pydantic import ValidationError

from data.errors import BadInput, unknown
from data.sources import hash_of
from tasks.signal import strategies as shipped
from tasks.signal import userfile
from tasks.signal.blame import one_line
from tasks.signal.strategy import Strategy

GROUP = "jarvis.strategies"
_IN_FILE = re.compile(r"(?P<file>.+\.py)(?::(?P<class>\w*))?")


def strategies() -> dict[str, type[Strategy]]:
    """Return every named strategy, by name. One of an installed package that cannot be loaded is left out, with a
    warning that says why.
    """
    found = {name: _shipped(name) for name in _shipped_names()}
    for name, point in _offered().items():
        try:
            found[name] = _load(point)
        except BadInput as error:
            warnings.warn(str(error), stacklevel=2)
    return dict(sorted(found.items()))


def find(spec: str) -> type[Strategy]:
    """Return the strategy that `spec` means: a name, `path/to/file.py:Class`, or `path/to/file.py` if it holds one.

    Raises BadInput when there is none such, or its file cannot be used, with the file and line.
    """
    in_file = _IN_FILE.fullmatch(spec)
    if in_file:
        return userfile.load(Path(in_file["file"]), in_file["class"] or None)
    if spec in _shipped_names():
        return _shipped(spec)
    offered = _offered()
    if spec in offered:
        return _load(offered[spec])
    raise unknown("strategy", spec, [*_shipped_names(), *offered])


def create(spec: str, parameters: Mapping[str, object]) -> Strategy:
    """Return the strategy that `spec` means (see `find`) with the parameters given; the others have their defaults.

    Values may be strings, as they come from a command line. Raises BadInput for a parameter that is misspelt, or that
    has a value out of its bounds.
    """
    return build(find(spec), parameters)


def build(strategy: type[Strategy], parameters: Mapping[str, object]) -> Strategy:
    """Return a strategy with parameters; as `create` of one that is found already."""
    for name in parameters:
        if name not in strategy.model_fields:
            raise unknown(f"parameter of {strategy.name}", name, strategy.model_fields)
    try:
        return strategy.model_validate(dict(parameters))
    except ValidationError as error:
        raise BadInput(f"{strategy.name}: {_complaints(error)}") from None
    except Exception as error:
        raise BadInput(f"{strategy.name}: {one_line(error)}") from error


def code_hash(strategy: Strategy) -> str:
    """Return the sha256 of the source that the strategy was loaded from; see `source_hash`."""
    return source_hash(type(strategy))


def source_hash(strategy: type[Strategy]) -> str:
    """Return the sha256 of a strategy's source: of its file, or of all files of the package that offers it."""
    loaded = userfile.loaded_hash(strategy)
    if loaded is not None:
        return loaded
    try:
        file = Path(inspect.getfile(strategy))
        root = None if strategy.__module__.startswith(f"{shipped.__name__}.") else _package_of(strategy)
        if root is None:
            return hashlib.sha256(file.read_bytes()).hexdigest()
        return hash_of(sorted(root.rglob("*.py")), root)
    except (OSError, TypeError):
        raise BadInput(f"{strategy.name} has no source file: put it in one, so that a run can name its code") from None


def _package_of(strategy: type[Strategy]) -> Path | None:
    """Return the folder of the package that a strategy is in, which may import its neighbours; None: in a module."""
    top = sys.modules.get(strategy.__module__.partition(".")[0])
    return next(map(Path, getattr(top, "__path__", ())), None)


def _shipped_names() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(shipped.__path__)]


def _shipped(name: str) -> type[Strategy]:
    module = importlib.import_module(f"{shipped.__name__}.{name}")
    return userfile.strategies_of(module)[0]


def _offered() -> dict[str, EntryPoint]:
    """Return the entry points by name; a name of Jarvis's own cannot be taken."""
    ours = _shipped_names()
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in ours}


def _load(point: EntryPoint) -> type[Strategy]:
    place = f"entry point '{point.name}' ({point.value}, group {GROUP})"
    try:
        strategy = point.load()
    except Exception as error:
        raise BadInput(f"{place} cannot be loaded: {one_line(error)}") from error
    if not (inspect.isclass(strategy) and issubclass(strategy, Strategy)):
        raise BadInput(f"{place} is no strategy: let it name a class derived from tasks.signal.Strategy")
    if strategy.name != point.name:
        raise BadInput(f"{place} must be called '{strategy.name}', as its strategy is")
    return strategy


def _complaints(error: ValidationError) -> str:
    """Say in one line what pydantic found wrong."""
    said = []
    for problem in error.errors():
        message = problem["msg"].removeprefix("Value error, ")
        field = ".".join(str(part) for part in problem["loc"])
        said.append(f"{field}={problem['input']} cannot be used: {message.lower()}" if field else message)
    return "; ".join(said)
