"""The floors of the house: DESIGN in the file pyproject.toml, section importlinter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from data.settings import CHECKOUT


def test_no_import_runs_up_a_floor_or_across_stages() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_command_line_starts_without_the_heavy_packages() -> None:
    code = "import sys, flows.cli; print(*sorted({'prefect', 'pandas', 'ccxt', 'numba', 'panel'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
