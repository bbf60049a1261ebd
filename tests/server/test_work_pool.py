"""The live deployment on a work pool, made and run by the commands of docs/running.md."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from data.settings import CHECKOUT
from data.views import connect
from data.writer import Lake
from tests.flow.test_documents import blocks
from tests.servers.practice_exchange import practice_exchange
from tests.servers.prefect_server import AUTH, prefect_server
from tests.servers.processes import BIN, environment, free_port

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(420)]


def test_a_worker_takes_a_candle_in(tmp_path: Path) -> None:
    (block,) = [block for _, block in blocks("docs/running.md", "sh") if "work-pool" in block]
    pool, deploy, worker = block.replace("\\\n", " ").strip().splitlines()
    deploy = deploy.replace('"kraken"', '"practice"').replace('"1h"', '"1m"')
    with practice_exchange() as practice:
        settings = environment(
            JARVIS_LAKE=tmp_path / "lake",
            JARVIS_STATE=tmp_path / "state",
            JARVIS_EXCHANGE_URLS=json.dumps({"practice": practice.url}),
            PREFECT_HOME=tmp_path / "home",
            PREFECT_API_URL=f"http://127.0.0.1:{free_port()}/api",
            PREFECT_API_AUTH_STRING=":".join(AUTH),
        )
        with prefect_server(settings) as server:
            for line in (pool, deploy, "prefect deployment run live-trading", f"{worker} --run-once"):
                program, *arguments = shlex.split(line)
                done = subprocess.run(
                    [BIN / program, *arguments], cwd=CHECKOUT, env=settings, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, done.stdout + done.stderr
            ended = [run for run in server.runs() if run["state"]["name"] == "Completed"]
    assert [run["deployment_id"] is not None for run in ended] == [True]
    with connect(Lake(tmp_path / "lake")) as connection:
        rows = connection.execute("SELECT symbol, flow_run_id FROM decisions").fetchall()
    assert rows == [("BTC/USD", ended[0]["id"])]
