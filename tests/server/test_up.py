"""`jarvis up`: a real Prefect server, real deployments, a real dashboard, and nothing left behind."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from data.settings import CHECKOUT
from tests.flow.test_documents import blocks
from tests.servers.loopback import QuietHandler, listening
from tests.servers.processes import BIN, environment, free_port

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.timeout(420)]

AUTH = ("jarvis", "a password of the tests")


def wait_for(what: Callable[[], Any], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {seconds} s")


@dataclass
class Up:
    api: str
    dashboard: str
    environment: dict[str, str]
    process: subprocess.Popen[str] = field(init=False)
    lines: list[str] = field(init=False)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """Call the API as its own clients do: with password and CSRF token."""
        with httpx.Client(base_url=self.api, auth=AUTH, headers={"Prefect-Csrf-Client": "tests"}) as client:
            token = client.get("/csrf-token", params={"client": "tests"}).json()["token"]
            for _ in range(10):
                answer = client.request(method, path, headers={"Prefect-Csrf-Token": token}, json=body or None)
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:  # SQLite is busy: Prefect's client waits too
                    break
                time.sleep(1)
            answer.raise_for_status()
            return answer.json() if answer.content else None

    def start(self) -> None:
        """Run `jarvis up` until it has said all that it has to say."""
        self.process = subprocess.Popen(
            [BIN / "jarvis", "up"], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.process.stdout is not None
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if "Ctrl-C" in line:
                return
        logs = "\n".join(log.read_text()[-2000:] for log in Path(self.environment["JARVIS_STATE"]).glob("*.log"))
        pytest.fail("\n".join(self.lines) + logs)

    def family(self) -> list[psutil.Process]:
        """Return all processes that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def run(self, *command: str, cwd: Path = CHECKOUT, **settings: str) -> str:
        """Run a program of ours as a user does, and return what it printed."""
        done = subprocess.run(
            [BIN / command[0], *command[1:]],
            cwd=cwd, env=self.environment | settings, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def sql(self, query: str) -> list[dict[str, Any]]:
        """Ask the lake."""
        answer: list[dict[str, Any]] = json.loads(self.run("jarvis", "sql", query, "--format", "json"))
        return answer

    def live_runs(self, *types: str, **chosen: Any) -> list[dict[str, Any]]:
        """Return the runs of the live deployment in these states, newest first."""
        runs: list[dict[str, Any]] = self.ask(
            "POST", "/flow_runs/filter", sort="START_TIME_DESC",
            flow_runs={"state": {"type": {"any_": list(types)}}, **chosen}, flows={"name": {"any_": ["live-trading"]}},
        )  # fmt: skip
        return runs


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    prefect_port, dashboard_port = free_port(), free_port()
    settings = environment(
        JARVIS_LAKE=folder / "lake",
        JARVIS_STATE=folder / "state",
        JARVIS_PREFECT_PORT=prefect_port,
        JARVIS_DASHBOARD_PORT=dashboard_port,
        JARVIS_PRACTICE_STATE=folder / "practice",
        JARVIS_PRACTICE_PORT=free_port(),
        JARVIS_PRACTICE_ADMIN_PORT=free_port(),
        PREFECT_HOME=folder / "home",
        PREFECT_API_URL=f"http://127.0.0.1:{prefect_port}/api",
        PREFECT_API_AUTH_STRING=":".join(AUTH),
    )
    up = Up(f"http://127.0.0.1:{prefect_port}/api", f"http://127.0.0.1:{dashboard_port}", settings)
    up.start()
    yield up
    if up.process.poll() is None:
        up.process.send_signal(signal.SIGINT)
        up.process.wait(30)
    assert up.process.stdout is not None
    up.process.stdout.close()


def test_a_second_one_beside_it_ends_at_once_and_says_why(up: Up) -> None:
    done = subprocess.run(
        [BIN / "jarvis", "up"], env=up.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == f"jarvis: process {up.process.pid} runs `jarvis up` already: end it first; one at a time can\n"
    )


def test_both_addresses_are_printed_and_answer(up: Up) -> None:
    text = "\n".join(up.lines)
    assert len(up.lines) == 7, text  # and nothing that a library has to say when its process ends
    assert f"{up.dashboard}/trading" in text
    assert up.api.removesuffix("/api") in text
    page = httpx.get(f"{up.dashboard}/trading", timeout=60)
    assert page.status_code == 200
    assert httpx.get(up.api.removesuffix("/api")).status_code == 200


def test_the_backtest_of_the_sample_is_in_the_lake_and_in_prefect(up: Up) -> None:
    (recorded,) = up.sql("select flow_run_id, symbol from runs where kind = 'backtest'")
    assert recorded["symbol"] == "AAPL"
    assert recorded["flow_run_id"], up.lines
    assert up.ask("GET", f"/flow_runs/{recorded['flow_run_id']}")["state_name"] == "Completed"


def test_candles_are_traded_on_paper_and_seen_in_prefect_and_in_the_lake(up: Up) -> None:
    assert any("Paper trading of BTC/USD and ETH/USD" in line for line in up.lines)
    run = wait_for(lambda: up.live_runs("COMPLETED", "FAILED", "CRASHED"))[0]
    assert (run["state_name"], run["auto_scheduled"]) == ("Completed", True), run["state"]
    assert {"paper", "practice", "sma_crossover", "1m", "BTC/USD", "ETH/USD"} <= set(run["tags"])
    found = up.ask("POST", "/artifacts/filter", flow_runs={"id": {"any_": [run["id"]]}})
    artifacts = {artifact["key"]: artifact["data"] for artifact in found}
    assert {"decision-report", "signals", "account"} <= set(artifacts)
    assert "[ETH/USD](" in artifacts["decision-report"]
    decided = up.sql(f"select distinct symbol from decisions where flow_run_id = '{run['id']}' order by all")
    assert [row["symbol"] for row in decided] == ["BTC/USD", "ETH/USD"]


def test_a_run_is_started_by_hand_with_the_users_literal_command(up: Up) -> None:
    def started_and_done() -> bool:
        told = up.run("prefect", "deployment", "run", "live-trading", "--tag", "by-hand")
        assert "Created flow run" in told
        run_id = re.findall(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", told)[0]
        ended = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        run = wait_for(lambda: up.live_runs(*ended, id={"any_": [run_id]}))[0]
        if run["state_type"] == "CANCELLED":  # a scheduled one is at it: it does the work of this one
            assert "concurrency limit" in run["state"]["message"] or "is at it" in run["state"]["message"]
            return False
        assert run["state_name"] == "Completed", run["state"]
        return True

    assert wait_for(started_and_done)


def test_elsewhere_the_short_name_takes_a_setting(up: Up, tmp_path: Path) -> None:
    told = up.run("prefect", "deployment", "inspect", "live-trading", cwd=tmp_path, PREFECT_PLUGINS_ENABLED="true")
    assert "'name': 'live-trading'" in told


def test_the_server_is_closed_to_whoever_has_no_password_or_token(up: Up) -> None:
    for stranger in (None, ("jarvis", "wrong")):
        assert httpx.get(f"{up.api}/admin/version", auth=stranger).status_code == 401
        assert httpx.get(f"{up.api}/csrf-token", params={"client": "x"}, auth=stranger).status_code == 401
    secrets = {"include_secrets": True}
    assert httpx.post(f"{up.api}/block_documents/filter", json=secrets).status_code in (401, 403)
    assert httpx.post(f"{up.api}/block_documents/filter", json=secrets, auth=AUTH).status_code == 403  # no CSRF token
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{up.api}/flow_runs/filter", headers=preflight, auth=AUTH)
    assert answer.headers.get("access-control-allow-origin") not in ("*", "https://evil.example")


def test_nothing_listens_beyond_loopback(up: Up) -> None:
    family = [psutil.Process(up.process.pid), *up.family()]
    listening = [c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
    assert len(listening) >= 2
    assert set(listening) <= {"127.0.0.1", "::1"}


def started(up: Up, deployment: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Start a deployment by Prefect's own command line, and return its run when it has ended."""
    given = () if parameters is None else ("--param", f"parameters={json.dumps(parameters)}")
    told = up.run("prefect", "deployment", "run", deployment, *given)
    run_id = re.findall(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", told)[0]

    def ended() -> dict[str, Any] | None:
        run: dict[str, Any] = up.ask("GET", f"/flow_runs/{run_id}")
        return run if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED") else None

    found: dict[str, Any] = wait_for(ended)
    return found


def test_prefects_own_command_line_starts_a_backtest_with_parameters(up: Up) -> None:
    run = started(up, "backtest/backtest", {"strategy": "macd", "cash": 5000})
    assert run["state_name"] == "Completed", run["state"]
    assert "macd" in run["tags"]


@pytest.mark.slow
def test_a_sweep_is_started_as_it_is_and_with_parameters(up: Up) -> None:
    by_itself = started(up, "sweep")
    chosen = {"strategy": "macd", "grid": {"fast": "4:8:2", "slow": "20,30"}, "memory": "4GB", "best": 0}
    given = started(up, "sweep/sweep", chosen)
    assert [run["state_name"] for run in (by_itself, given)] == ["Completed"] * 2, (by_itself["state"], given["state"])
    rows = up.sql(
        "select flow_run_id, strategy, count(*) as sets from runs join sweeps using (run_id) group by all order by sets"
    )
    assert rows == [
        {"flow_run_id": given["id"], "strategy": "macd", "sets": 6},
        {"flow_run_id": by_itself["id"], "strategy": "sma_crossover", "sets": 80},
    ]
    found = up.ask("POST", "/artifacts/filter", flow_runs={"id": {"any_": [by_itself["id"]]}})
    assert {"verdict", "sets", "progress"} <= {artifact["key"] for artifact in found}


@pytest.mark.slow
def test_a_sweep_that_cannot_be_is_a_failed_run_that_says_why(up: Up) -> None:
    run = started(up, "sweep", {"grid": {"fats": "4:8:2"}})
    assert run["state_name"] == "Failed"
    assert "unknown parameter of sma_crossover 'fats': did you mean 'fast'?" in run["state"]["message"]


@pytest.mark.slow
def test_a_portfolio_is_started_with_the_markets_that_are_traded(up: Up) -> None:
    wait_for(lambda: up.live_runs("COMPLETED"))  # so that the lake has their candles
    market = {"exchange": "practice", "timeframe": "1m", "symbols": ["BTC/USD", "ETH/USD"]}
    run = started(up, "portfolio", market | {"params": {"fast": 3, "slow": 8}})
    assert run["state_name"] == "Completed", run["state"]
    rows = up.sql(f"select kind, symbol from runs where flow_run_id = '{run['id']}'")
    assert rows == [{"kind": "backtest", "symbol": "BTC/USD, ETH/USD"}]
    assert started(up, "portfolio")["state_name"] == "Completed"


def test_a_schedule_fires_and_its_run_completes(up: Up) -> None:
    deployment = up.ask("GET", "/deployments/name/upkeep/upkeep")
    often = {"schedule": {"interval": 10}, "active": True}
    up.ask("PATCH", f"/deployments/{deployment['id']}", schedules=[often])

    def scheduled_and_done() -> Any:
        chosen = {"deployment_id": {"any_": [deployment["id"]]}, "state": {"type": {"any_": ["COMPLETED"]}}}
        return up.ask("POST", "/flow_runs/filter", flow_runs=chosen)

    runs = wait_for(scheduled_and_done, 180)
    assert runs[0]["auto_scheduled"]
    up.ask("PATCH", f"/deployments/{deployment['id']}", schedules=[])


def test_the_documents_automation_acts_on_an_alert(up: Up, tmp_path: Path) -> None:
    received: list[str] = []

    class Webhook(QuietHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

    ((_, program),) = blocks("docs/running.md", "python")
    ((_, automation),) = blocks("docs/running.md", "yaml")
    command = next(
        line for _, block in blocks("docs/running.md", "sh") for line in block.splitlines() if "auto" in line
    )
    raises = """
from prefect import flow
from flows.alerts import alert

@flow
def raises():
    alert("fill", "bought", run="abc")
    alert("stale_data", "BTC/USD: no candle has closed", run="abc")

raises()
"""
    with listening(Webhook) as url:
        block = up.run("python", "-c", program.replace("https://hooks.example.org", url)).strip()
        file = tmp_path / "alerts.yaml"
        file.write_text(automation.replace("00000000-0000-0000-0000-000000000000", block))
        up.run(*command.split(), cwd=tmp_path)
        up.run("python", "-c", raises, PYTHONPATH=str(CHECKOUT))
        assert json.loads(wait_for(lambda: received)[0]) == {"text": "BTC/USD: no candle has closed"}
        assert len(received) == 1
        for each in up.ask("POST", "/automations/filter"):
            up.ask("DELETE", f"/automations/{each['id']}")


@pytest.mark.slow
def test_killed_and_started_again_it_goes_on_with_the_same_accounts(up: Up) -> None:
    sessions = "select run_id, symbol from runs where kind = 'paper' order by symbol"
    wait_for(lambda: up.live_runs("COMPLETED"))
    before, decided = up.sql(sessions), up.sql("select count(*) as n from decisions")[0]["n"]
    for process in [*up.family(), psutil.Process(up.process.pid)]:
        process.kill()
    up.process.communicate()
    up.start()
    alive = time.time()
    assert wait_for(lambda: [run for run in up.live_runs("COMPLETED") if began(run) > alive])
    assert up.sql(sessions) == before
    assert up.sql("select count(*) as n from decisions")[0]["n"] > decided
    assert up.live_runs("RUNNING") == []


def began(run: dict[str, Any]) -> float:
    return datetime.fromisoformat(run["start_time"]).timestamp()


def test_ctrl_c_ends_all_that_it_started_and_nothing_else(up: Up) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    family = up.family()
    assert len(family) >= 4
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 130
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
    for address in (up.api, up.dashboard):
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)
