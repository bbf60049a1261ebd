"""A sweep on a lake in a bucket, with workers that read it there: a server that speaks S3 has an environment for it.

It is moto's, which is installed from the package registry on the first run.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.peers import python_with
from data.runs import is_recorded
from data.writer import Lake
from flows.parameters import SweepParameters
from flows.sweep import sweep
from tests.servers.clusters import listens, started, wait_until
from tests.servers.processes import free_port
from tests.servers.sweeps import MINE, as_bytes, fill

pytestmark = [pytest.mark.server, pytest.mark.slow]


@contextmanager
def bucket() -> Iterator[dict[str, str]]:
    """A bucket named `markets`; yields what clients must know."""
    try:
        python = python_with("moto[server,s3]==5.2.5")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"moto cannot be installed: {error.stderr}")
    port = free_port()
    with started(python.parent / "moto_server", "-H", "127.0.0.1", "-p", str(port)) as server:
        wait_until(lambda: listens(port), server)
        url = f"http://127.0.0.1:{port}"
        httpx.put(f"{url}/markets").raise_for_status()
        key = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
        yield key | {"AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true"}


def test_a_lake_in_a_bucket_has_the_table_of_a_lake_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = SweepParameters(**MINE | {"grid": {"fast": "2:12:2", "slow": "13:53:5"}, "walk_forward": 3})
    folder = Lake(tmp_path / "lake")
    with bucket() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        remote = Lake("s3://markets/lake")
        for lake in (folder, remote):
            fill(lake)
            monkeypatch.setenv("JARVIS_LAKE", lake.address)
            given = {"runner": "dask"} if lake.remote else {}
            sweep.fn(parameters.model_copy(update=given))
        for table in ("sweeps", "folds", "equity", "metrics"):
            assert as_bytes(remote, table) == as_bytes(folder, table), table
        again = parameters.model_copy(update={"optuna": 6, "walk_forward": None, "batch": 3})
        (searched,) = sweep.fn(again)
        assert 0 < len(searched.sets) <= 6
        assert is_recorded(remote, searched.run_id)
