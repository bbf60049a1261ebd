"""`jarvis doctor`: is all that Jarvis needs in order?"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement

from data.errors import JarvisError
from data.query import run_query
from data.settings import settings
from data.tables import TABLES
from data.writer import Lake
from flows.server import admits, answers, api_url

_ROOM = 1 << 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    detail: str


def examine() -> list[Finding]:
    """Look at Python, packages, settings, lake, disk and Prefect server; never raises."""
    return [finding for look in (_python, _packages, _lake, _tables, _room, _prefect) for finding in _looked(look)]


def _looked(look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(look())
    except (JarvisError, OSError) as error:
        return [Finding(look.__name__.strip("_"), ok=False, detail=str(error))]


def _python() -> Iterator[Finding]:
    yield Finding("Python", ok=sys.version_info >= (3, 11), detail=sys.version.split()[0])


def _packages() -> Iterator[Finding]:
    """Compare what is installed with the bounds that Jarvis declares: two of them fail silently when broken."""
    wrong = []
    for text in requires("jarvis") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(version(requirement.name), prereleases=True):
            wrong.append(f"{requirement.name} {version(requirement.name)} is not {requirement.specifier}")
    hint = "; install from requirements.lock" if wrong else "as declared"
    yield Finding("packages", ok=not wrong, detail="; ".join(wrong) + hint)


def _lake() -> Iterator[Finding]:
    lake = settings().lake
    if isinstance(lake, str):
        number = Lake(lake).version("runs")
        yield Finding("lake", ok=True, detail=f"{lake} answers, version {number} of runs")
        return
    place = _there(lake)
    with tempfile.TemporaryFile(dir=place):
        yield Finding("lake", ok=True, detail=f"{lake} can be written" if place == lake else f"{lake} will be made")


def _tables() -> Iterator[Finding]:
    lake = Lake.open()
    for name in TABLES:
        number = lake.version(name)
        if number < 0:
            continue
        rows = run_query(lake, f"SELECT count(*) FROM {name}")[0][0].as_py()  # noqa: S608 - a name of ours
        yield Finding(f"table {name}", ok=True, detail=f"{rows:,} rows, version {number}")


def _room() -> Iterator[Finding]:
    lake = settings().lake
    if isinstance(lake, str):
        return
    free = shutil.disk_usage(_there(lake)).free
    yield Finding("disk", ok=free > _ROOM, detail=f"{free / _ROOM:.1f} GiB free")


def _there(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _prefect() -> Iterator[Finding]:
    url = api_url()
    if not answers(url):
        yield Finding("Prefect server", ok=True, detail=f"none at {url}: runs are recorded in the lake alone")
    elif admits(url):
        yield Finding("Prefect server", ok=True, detail=f"answers at {url}")
    else:
        yield Finding("Prefect server", ok=False, detail=f"{url} asks for a password: set PREFECT_API_AUTH_STRING")
