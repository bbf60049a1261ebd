"""`jarvis up`: a real Prefect server, real deployments, a real dashboard, and nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.servers.processes import environment, free_port

pytestmark = [pytest.mark.server, pytest.mark.timeout(420)]

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
    process: subprocess.Popen[str]
    lines: list[str]
    api: str
    dashboard: str
    environment: dict[str, str]

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


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    prefect_port, dashboard_port = free_port(), free_port()
    settings = environment(
        JARVIS_LAKE=folder / "lake",
        JARVIS_STATE=folder / "state",
        JARVIS_PREFECT_PORT=prefect_port,
        JARVIS_DASHBOARD_PORT=dashboard_port,
        PREFECT_HOME=folder / "home",
        PREFECT_API_URL=f"http://127.0.0.1:{prefect_port}/api",
        PREFECT_API_AUTH_STRING=":".join(AUTH),
    )
    process = subprocess.Popen(
        [Path(sys.executable).parent / "jarvis", "up"],
        env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if "Ctrl-C" in line:
            break
    if "Ctrl-C" not in lines[-1]:
        logs = "\n".join(log.read_text()[-2000:] for log in (folder / "state").glob("*.log"))
        pytest.fail("\n".join(lines) + logs)
    yield Up(process, lines, f"http://127.0.0.1:{prefect_port}/api", f"http://127.0.0.1:{dashboard_port}", settings)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    process.stdout.close()


def test_both_addresses_are_printed_and_answer(up: Up) -> None:
    text = "\n".join(up.lines)
    assert f"{up.dashboard}/trading" in text
    assert up.api.removesuffix("/api") in text
    page = httpx.get(f"{up.dashboard}/trading", timeout=60)
    assert page.status_code == 200
    assert httpx.get(up.api.removesuffix("/api")).status_code == 200


def test_the_backtest_of_the_sample_is_in_the_lake_and_in_prefect(up: Up) -> None:
    runs = up.ask("POST", "/flow_runs/filter", flow_runs={"tags": {"all_": ["sma_crossover"]}})
    assert [run["state_name"] for run in runs] == ["Completed"]
    done = subprocess.run(
        [Path(sys.executable).parent / "jarvis", "sql", "select flow_run_id from runs", "--format", "csv"],
        env=up.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["flow_run_id", runs[0]["id"]]


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
    family = [psutil.Process(up.process.pid), *psutil.Process(up.process.pid).children(recursive=True)]
    listening = [c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
    assert len(listening) >= 2
    assert set(listening) <= {"127.0.0.1", "::1"}


def test_prefects_own_command_line_starts_a_backtest_with_parameters(up: Up) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "prefect", "deployment", "run", "backtest/backtest", "--param",
         'parameters={"strategy": "macd", "cash": 5000}'],
        env=up.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr

    def finished() -> str | None:
        runs = up.ask("POST", "/flow_runs/filter", flow_runs={"tags": {"all_": ["macd"]}})
        return runs[0]["state_name"] if runs and runs[0]["state_type"] in ("COMPLETED", "FAILED", "CRASHED") else None

    assert wait_for(finished) == "Completed"


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


def test_ctrl_c_ends_all_that_it_started_and_nothing_else(up: Up) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    family = psutil.Process(up.process.pid).children(recursive=True)
    assert len(family) >= 3
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
