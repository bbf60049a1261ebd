"""The engines that `benchmarks.backtest` measures against."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.market import CASH, FEE

VECTORBT = "vectorbt==1.2.0"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jarvis" / "benchmarks"


@dataclass(frozen=True)
class Measured:
    """One engine on one size: all its times in seconds, and what came of it."""

    seconds: list[float]
    trades: int
    equity: float

    @property
    def least(self) -> float:
        """The least of its times, the nearest to a quiet machine's."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def seconds_of(work: Callable[[], object], repeats: int) -> list[float]:
    """Return the times of `repeats` calls, after one that does not count."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


def vectorbt_python() -> Path:
    """Return the interpreter of vectorbt's environment, made on the first call. Raises CalledProcessError."""
    return python_with(VECTORBT)


def python_with(package: str) -> Path:
    """Return the interpreter of a package's environment, made on the first call. Raises CalledProcessError."""
    home = CACHE / package.replace("==", "-")
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        print(f"installing {package} into {home}, once", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        uv = shutil.which("uv")
        install = [uv, "pip", "install", "-q", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
        venv = [uv, "venv", "-q", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
        for command in ([*venv, str(home)], [*install, package]):
            subprocess.run(command, check=True, capture_output=True, text=True)
        (home / "complete").touch()
    return python


def vectorbt(candles: pd.DataFrame, target: npt.NDArray[np.float64], *, repeats: int, zone: str) -> Measured:
    """Measure vectorbt, with an index in a `zone`. Raises CalledProcessError where it does not install or run."""
    python = vectorbt_python()
    with tempfile.TemporaryDirectory() as folder:
        prices = {name: candles[name].to_numpy() for name in ("open", "close")}
        arrays: dict[str, npt.NDArray[np.float64]] = {**prices, "target": target, "costs": np.array([FEE, CASH])}
        for name, values in arrays.items():
            np.save(Path(folder) / f"{name}.npy", values)
        script = Path(__file__).with_name("peer_vectorbt.py")
        done = subprocess.run(
            [python, script, folder, str(repeats), zone], check=True, capture_output=True, text=True, cwd=folder
        )
    answer = json.loads(done.stdout.splitlines()[-1])
    return Measured(answer["seconds"], answer["trades"], answer["equity"])


def backtesting_py(candles: pd.DataFrame, target: npt.NDArray[np.float64], *, repeats: int) -> Measured:
    """Measure backtesting.py, in units of 1e-8."""
    os.environ["TQDM_DISABLE"] = "1"
    from backtesting import Strategy  # type: ignore[import-untyped]
    from backtesting.lib import FractionalBacktest  # type: ignore[import-untyped]

    class Follow(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.held = False

        def next(self) -> None:
            wanted = target[len(self.data) - 1] > 0.5
            if wanted and not self.held:
                self.buy()
            elif self.held and not wanted:
                self.position.close()
            self.held = wanted

    frame = candles.tz_localize(None).rename(columns=str.title)

    def run() -> Any:
        return FractionalBacktest(frame, Follow, cash=CASH, commission=FEE, finalize_trades=True).run()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stats, seconds = run(), seconds_of(run, repeats)
    return Measured(seconds, len(stats["_trades"]), float(stats["_equity_curve"].Equity.iloc[-1]))
