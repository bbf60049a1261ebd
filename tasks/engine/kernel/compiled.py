"""Compiling by numba, and keeping what was compiled on disk.

numba renews its copy of a function when the file of that function changes, not when one does whose functions it calls.
So the copies lie in a folder named by a hash of all that is compiled in.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
from platformdirs import user_cache_path

P = ParamSpec("P")
R = TypeVar("R")

_NUMBA: Any = numba.config

_HERE = Path(__file__).parent
_OUTSIDE = ("codes.py", "costs.py", "fees.py", "rules.py")
_SOURCES = (*sorted(_HERE.glob("*.py")), *(_HERE.parent / name for name in _OUTSIDE))


def _kept_in() -> str:
    """Return the folder for this source's copies, made now; empty where none can be made. Older ones are removed."""
    name = "compiled-" + hashlib.sha256(b"\0".join(file.read_bytes() for file in _SOURCES)).hexdigest()[:16]
    asked = _NUMBA.CACHE_DIR
    for base in [Path(asked)] if asked else [_HERE / "__pycache__", user_cache_path("jarvis")]:
        try:
            (base / name).mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if not os.access(base / name, os.W_OK):
            continue
        for old in base.glob("compiled-*"):
            if old.name != name:
                shutil.rmtree(old, ignore_errors=True)
        return str(base / name)
    return ""


_FOLDER = _kept_in()


_OPTIONS: Any = {"nogil": True, "forceinline": True, "error_model": "numpy"}
"""Threads run beside each other; a division looks for no zero, which would keep loops from taking many bars at once."""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile with a cache on disk; without one where no folder can be written."""
    asked, _NUMBA.CACHE_DIR = _NUMBA.CACHE_DIR, _FOLDER
    try:
        return cast("Callable[P, R]", numba.njit(function, cache=bool(_FOLDER), **_OPTIONS))
    finally:
        _NUMBA.CACHE_DIR = asked
