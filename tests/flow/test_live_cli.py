"""Live trading by the command line: steps, kill switches, sessions, reconciliation, parity."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

from data.errors import BadInput
from data.runs import read_run
from data.writer import Lake
from flows.parameters import LiveParameters
from flows.parity import check_parity
from tasks.exchange.keys import practice_keys
from tasks.exchange.lock import alone
from tasks.trade.halt import halt, halted
from tasks.trade.live import LiveBroker
from tests.flow.test_live_parity import FIRST, MARKET, candle_rows, random_candles
from tests.servers.command_line import Jarvis, fails, only
from tests.servers.practice_exchange import Practice, practice_exchange
from tests.servers.processes import BIN, environment
from tests.servers.recorded_market import EXCHANGE, replay

MINUTE = 60.0
HOLD = ("live", "--strategy", "buy_and_hold", "--cash", "1000", "--history", "20")


def test_a_step_prints_its_decision_and_the_next_one_that_nothing_closed(jarvis: Jarvis, practice: Practice) -> None:
    done = jarvis(*HOLD)
    assert done.code == 0, done.err
    for word in ("candle", "BTC/USD", "buy", "signal", "session "):
        assert word in done.out
    assert "no candle has closed since the last decision" in jarvis(*HOLD).out
    practice.step(MINUTE)
    outcome = only(jarvis(*HOLD, "--json"))
    assert [decision["reason"] for decision in outcome["decisions"]] == ["unchanged"]
    assert outcome["account"]["position"] > 0


def test_every_candle_missed_meanwhile_is_printed(jarvis: Jarvis, practice: Practice) -> None:
    jarvis(*HOLD)
    practice.step(3 * MINUTE)
    decisions = only(jarvis(*HOLD, "--json"))["decisions"]
    assert [decision["reason"] for decision in decisions] == ["missed", "missed", "unchanged"]


@pytest.mark.parametrize("in_background", [False, True])
def test_a_stream_goes_on_until_ctrl_c(lake: Lake, tmp_path: Path, in_background: bool) -> None:
    with practice_exchange(start=None, paused=False, speed=60) as exchange:
        settings = {"JARVIS_LAKE": lake.root, "JARVIS_STATE": tmp_path / "state"}
        addresses = json.dumps({"practice": exchange.url})
        command = shlex.join([str(BIN / "jarvis"), *HOLD, "--stream", "--json"])
        stream = subprocess.Popen(
            ["sh", "-c", f"trap '' INT; exec {command}" if in_background else f"exec {command}"],
            env=environment(**settings, JARVIS_EXCHANGE_URLS=addresses),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert stream.stdout is not None
        lines = [stream.stdout.readline() for _ in range(3)]
        stream.send_signal(signal.SIGINT)
        _, said = stream.communicate(timeout=30)
    assert (stream.returncode, said) == (130, "")
    candles = [decision["ts"] for line in lines for decision in json.loads(line)[0]["decisions"]]
    assert candles == sorted(set(candles))
    assert len(candles) >= 3


@pytest.mark.server
def test_with_a_server_the_step_is_a_flow_run_and_one_that_meets_another_is_told(
    jarvis: Jarvis, practice: Practice, lake: Lake, prefect_api: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.server.server_ready", lambda: True)
    outcome = only(jarvis(*HOLD, "--json"))
    assert read_run(lake, outcome["run_id"], "decisions")["flow_run_id"].notna().all()
    practice.step(MINUTE)
    with alone("sessions", outcome["run_id"], "taken by {}"):
        fails(jarvis(*HOLD), 1, "is at it")
    fails(jarvis("live", "--symbol", "BTC/EUR"), 2, "BTC/EUR")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--timeframe", "1x"], "unknown timeframe '1x'"),
        (["--symbol", "BTC/USD", "--symbol", "BTC/USD"], "symbols: name each of them once"),
        (["--cash", "0"], "cash"),
        (["--daily-loss", "1.5"], "daily_loss"),
        (["--param", "fast"], "write name=value"),
        (["--param", "fast=200", "--param", "slow=600"], "600"),
        (["--strategy", "macdd"], "did you mean 'macd'"),
        (["--strategy", "gone.py"], "gone.py"),
        (["--exchange", "kraaken"], "kraken"),
        (["--exchange", "kraken", "--mode", "live"], "JARVIS_LIVE=yes"),
        (["--symbol", "BTC/EUR"], "BTC/EUR"),
        (["--cash", "0.001"], "cash"),
    ],
)
def test_bad_input_of_a_session_is_one_line_and_exit_code_2(
    jarvis: Jarvis, practice: Practice, lake: Lake, arguments: list[str], words: str
) -> None:
    fails(jarvis("live", *arguments), 2, words)
    assert lake.version("runs") == -1
    assert not practice.journal("AddOrder")


def test_real_money_is_announced_before_keys_are_looked_for(jarvis: Jarvis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_LIVE", "yes")
    monkeypatch.setenv("JARVIS_EXCHANGE_URLS", '{"kraken": "http://127.0.0.1:9"}')
    done = jarvis("live", "--exchange", "kraken", "--mode", "live", "--cash", "50", "--max-order", "20")
    assert done.code != 0
    assert "REAL MONEY: orders are sent to kraken." in done.err
    assert "max_order 20.0" in done.err
    assert "jarvis: " in done.err.splitlines()[-1]


def test_a_session_with_the_practice_exchange_is_not_called_real_money(jarvis: Jarvis, practice: Practice) -> None:
    done = jarvis(*HOLD, "--mode", "live")
    assert done.code == 0, done.err
    assert "REAL MONEY" not in done.err


def test_a_halt_stops_decisions_until_it_is_lifted(jarvis: Jarvis, practice: Practice) -> None:
    assert jarvis("halt", "--reason", "the news are bad").out == "halted: all symbols\n"
    (decision,) = only(jarvis(*HOLD, "--json"))["decisions"]
    assert (decision["action"], decision["reason"]) == ("hold", "halted")
    assert "the news are bad" in decision["detail"]
    assert [row["halted"] for row in jarvis("sessions", "--json").json] == ["the news are bad"]
    assert jarvis("resume").out == "resumed: all symbols\n"
    practice.step(MINUTE)
    (decision,) = only(jarvis(*HOLD, "--json"))["decisions"]
    assert (decision["action"], decision["reason"]) == ("buy", "signal")


def test_halting_one_symbol_tells_when_nothing_trades_it(jarvis: Jarvis, practice: Practice) -> None:
    jarvis(*HOLD)
    assert jarvis("halt", "--symbol", "BTC/USD").err == ""
    done = jarvis("halt", "--symbol", "BTCUSD")
    assert done.out == "halted: BTCUSD\n"
    assert "no session trades BTCUSD" in done.err
    assert halted("ETH/USD") is None


def test_resume_says_what_is_still_halted(jarvis: Jarvis) -> None:
    assert jarvis("resume").out == "was not halted: all symbols\n"
    halt("odd prices", "ETH/USD")
    halt("all of it")
    done = jarvis("resume")
    assert "resumed: all symbols" in done.out
    assert "still halted: ETH/USD since" in done.out
    assert "(odd prices)" in done.out


def test_halting_needs_neither_lake_nor_server(tmp_path: Path) -> None:
    log = tmp_path / "runs" / "_delta_log"
    log.mkdir(parents=True)
    (log / f"{0:020}.json").write_text("this is no table")
    settings = {"JARVIS_STATE": tmp_path / "state", "JARVIS_LAKE": tmp_path}
    variables = environment(**settings) | {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    command = [BIN / "jarvis", "halt", "--symbol", "BTC/USD"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "halted: BTC/USD\n", "")


def test_a_halt_that_cannot_be_noted_is_a_failure(jarvis: Jarvis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JARVIS_STATE", "/proc/no/state")
    fails(jarvis("halt"), 1, "NOT HALTED")


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_flatten_sells_all_and_the_session_stays_out_when_it_is_resumed(
    jarvis: Jarvis, practice: Practice, mode: str
) -> None:
    session = (*HOLD, "--mode", mode, "--stop-loss", "0.2")
    run = only(jarvis(*session, "--json"))["run_id"]
    practice.step(MINUTE)
    held = only(jarvis(*session, "--json"))["account"]["position"]
    assert held > 0
    done = jarvis("flatten")
    assert done.code == 0, done
    assert f"BTC/USD (session {run}): flat" in done.out
    assert halted() is not None
    (row,) = jarvis("sessions", "--json").json
    assert (row["position"], row["halted"]) == (0.0, "flatten")
    assert jarvis("flatten").out == "halted; no session holds anything or has an order open\n"
    jarvis("resume")
    for _ in range(2):
        practice.step(MINUTE)
        (decision,) = only(jarvis(*session, "--json"))["decisions"]
        assert (decision["action"], decision["position"]) == ("hold", 0.0)
    if mode == "live":
        assert practice.ask("GET", "/state")["open_orders"] == []


def test_flatten_leaves_other_symbols_and_sessions_alone(jarvis: Jarvis, practice: Practice) -> None:
    ours, theirs = (*HOLD, "--json"), (*HOLD, "--fee", "0", "--json")
    first, second = only(jarvis(*ours))["run_id"], only(jarvis(*theirs))["run_id"]
    assert first != second
    done = jarvis("flatten", "--run", first, "--json")
    assert [(session["run_id"], session["failure"]) for session in done.json] == [(first, "")]
    assert halted("BTC/USD") is not None
    assert halted("ETH/USD") is None
    positions = {row["run_id"]: row["position"] for row in jarvis("sessions", "--json").json}
    assert positions[first] == 0
    assert positions[second] > 0


def test_flatten_that_cannot_have_the_session_says_who_has_it(
    jarvis: Jarvis, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.recorded.PATIENCE", 0.0)
    run = only(jarvis(*HOLD, "--json"))["run_id"]
    with alone("sessions", run, "taken by {}"):
        done = jarvis("flatten")
    assert done.code == 1
    assert "NOT FLAT" in done.out
    assert "is at it" in done.out
    assert halted() is not None


def test_flatten_sells_without_the_strategy_and_not_while_the_exchange_is_away(
    jarvis: Jarvis, practice: Practice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from tasks.signal import Strategy\n"
        "class Mine(Strategy):\n"
        "    @property\n"
        "    def warmup(self):\n"
        "        return 0\n"
        "    def generate(self, candles):\n"
        "        return (candles.close > 0).astype(float).to_frame('target')\n"
    )
    only(jarvis("live", "--strategy", str(path), "--cash", "1000", "--history", "20", "--json"))
    path.unlink()
    monkeypatch.setattr("tasks.exchange.client._PAUSES", (0.0,))
    practice.fault("http", status=503)
    done = jarvis("flatten")
    assert done.code == 1
    assert "NOT FLAT" in done.out
    practice.clear_faults()
    assert ": flat" in jarvis("flatten").out


def test_flatten_whose_answer_is_lost_sells_once(jarvis: Jarvis, practice: Practice, lake: Lake) -> None:
    run = only(jarvis(*HOLD, "--mode", "live", "--json"))["run_id"]
    practice.fault("bad_gateway_after", "AddOrder", times=1)
    done = jarvis("flatten")
    assert (done.code, ": flat" in done.out) == (0, True), done
    orders = read_run(lake, run, "orders").query("side == 'sell'")
    assert {"intent", "unknown", "accepted", "filled"} <= set(orders["event"])
    assert orders["order_id"].nunique() == 1
    assert len(practice.orders_of(orders["client_id"].iloc[0])) == 1


def test_flatten_with_the_keys_of_another_account_sells_nothing(
    jarvis: Jarvis, practice: Practice, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = only(jarvis(*HOLD, "--mode", "live", "--json"))["run_id"]
    monkeypatch.setattr("tasks.exchange.trading.practice_keys", lambda: practice_keys("another"))
    done = jarvis("flatten")
    assert done.code == 1
    assert "NOT FLAT" in done.out
    assert "set the keys that it was begun with" in done.out
    assert set(read_run(lake, run, "orders")["side"]) == {"buy"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["flatten", "--run", "nothing"], "unknown session 'nothing'"),
        (["flatten", "--run", "a", "--symbol", "BTC/USD"], "exclude each other"),
        (["flatten", "--symbol", "BTCUSD"], "unknown symbol of a session 'BTCUSD'"),
        (["halt", "--symbol", ""], "symbol is empty"),
        (["parity", "nothing"], "unknown session 'nothing'"),
    ],
)
def test_bad_input_of_the_switches_is_one_line_and_exit_code_2(
    jarvis: Jarvis, arguments: list[str], words: str
) -> None:
    fails(jarvis(*arguments), 2, words)


def test_without_sessions_the_lists_are_empty_and_say_so(jarvis: Jarvis) -> None:
    assert jarvis("sessions", "--json").json == []
    assert "jarvis live" in jarvis("sessions").out
    assert jarvis("flatten").code == 0


def test_sessions_show_what_they_decided_last_hold_and_are_worth(jarvis: Jarvis, practice: Practice) -> None:
    jarvis(*HOLD)
    practice.step(MINUTE)
    outcome = only(jarvis(*HOLD, "--json"))
    (row,) = jarvis("sessions", "--json").json
    assert row["run_id"] == outcome["run_id"]
    assert (row["mode"], row["symbol"], row["reason"], row["halted"]) == ("paper", "BTC/USD", "unchanged", None)
    assert row["position"] == pytest.approx(outcome["account"]["position"], rel=1e-12)
    assert row["equity"] == outcome["account"]["equity"]
    assert row["candle"] == outcome["decisions"][-1]["ts"]
    assert outcome["run_id"] in jarvis("sessions").out


def test_reconcile_is_content_with_what_the_session_did_and_stops_at_what_nobody_did(
    jarvis: Jarvis, practice: Practice
) -> None:
    only(jarvis(*HOLD, "--mode", "live", "--json"))
    done = jarvis("reconcile")
    assert done.code == 0, done
    assert "STOPS" not in done.out
    practice.ask("POST", "/deposit", {"currency": "USD", "amount": "-12.5", "silent": True})
    done = jarvis("reconcile", "--json")
    assert done.code == 1
    assert [row["currency"] for row in done.json if row["stops"]] == ["USD"]
    assert jarvis("reconcile", "--accept", "USD").code == 0
    assert jarvis("reconcile").code == 0


def test_where_an_exchange_does_not_show_all_orders_a_person_says_that_one_is_not_there(
    jarvis: Jarvis, practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.exchange.kraken.Kraken.lists_all", False)
    monkeypatch.setitem(LiveBroker.__init__.__kwdefaults__, "patience", 0.5)
    live = (*HOLD, "--mode", "live", "--max-signal-age", "3600")
    jarvis("halt")
    only(jarvis(*live, "--json"))
    jarvis("resume")
    practice.step(MINUTE)
    practice.fault("reset_before", "AddOrder", times=1)
    outcome = only(jarvis(*live, "--json"))
    assert outcome["decisions"][-1]["reason"] == "unknown_order"
    practice.step(MINUTE)
    assert only(jarvis(*live, "--json"))["decisions"][-1]["reason"] == "unknown_order"
    order = outcome["decisions"][-1]["order_id"]
    assert f"order {order} was never made" in jarvis("reconcile", "--absent", outcome["run_id"]).out
    fails(jarvis("reconcile", "--absent", outcome["run_id"]), 2, "no order of unknown fate")
    practice.step(MINUTE)
    (decision,) = only(jarvis(*live, "--json"))["decisions"]
    assert (decision["action"], decision["reason"]) == ("buy", "signal")


# Parity.


@pytest.fixture
def recorded(lake: Lake) -> str:
    """A session on paper over recorded candles; returns its run."""
    candles = random_candles(3, FIRST + 40)
    lake.append("candles", candle_rows(candles))
    parameters = LiveParameters(
        exchange=EXCHANGE,
        timeframe="1h",
        params={"fast": 3, "slow": 8},
        cash=50_000.0,
        history=500,
        stop_loss=0.01,
        daily_loss=0.03,
    )
    with ExitStack() as stack:
        session = replay(lake, candles, parameters, MARKET, FIRST, stack)
        for position in range(FIRST, len(candles)):
            (outcome,) = session.step(position)
    return outcome.run_id


def test_a_session_filled_at_the_next_open_is_equal_in_every_candle(jarvis: Jarvis, lake: Lake, recorded: str) -> None:
    done = jarvis("parity", recorded)
    assert (done.code, done.err) == (0, "")
    decided = len(read_run(lake, recorded, "decisions"))
    assert done.out == f"{decided} equal\n"
    rows = read_run(lake, recorded, "parity")
    assert set(rows["verdict"]) == {"equal"}
    assert len(read_run(lake, recorded, "fills")) > 2
    assert (rows["live_equity"] == rows["backtest_equity"]).all()


@pytest.mark.slow
def test_parity_asked_twice_leaves_one_row_a_candle(jarvis: Jarvis, lake: Lake, recorded: str) -> None:
    first, second = check_parity(lake, recorded), check_parity(lake, recorded)
    assert len(read_run(lake, recorded, "parity")) == len(first) == len(second)


@pytest.mark.slow
def test_a_candle_revised_after_the_session_is_named_data(jarvis: Jarvis, lake: Lake, recorded: str) -> None:
    candles = random_candles(3, FIRST + 40)
    revised = candle_rows(candles.iloc[FIRST + 20 : FIRST + 21])
    lake.upsert("candles", revised.assign(volume=123.0))
    done = jarvis("parity", recorded, "--json").json
    verdicts = [row["verdict"] for row in done["candles"]]
    assert done["counts"] == {"equal": 20, "data": len(verdicts) - 20}
    assert verdicts[:20] == ["equal"] * 20
    table = jarvis("parity", recorded)
    assert table.code == 0
    assert "a candle was revised since" in table.out


def test_parity_of_a_backtest_is_refused(jarvis: Jarvis) -> None:
    run = jarvis("backtest", "--json").json["run_id"]
    fails(jarvis("parity", run), 2, f"run {run} is a backtest")


def test_parity_of_a_session_whose_strategy_is_gone_is_refused(
    jarvis: Jarvis, practice: Practice, tmp_path: Path
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from tasks.signal import Strategy\n"
        "class Mine(Strategy):\n"
        "    @property\n"
        "    def warmup(self):\n"
        "        return 0\n"
        "    def generate(self, candles):\n"
        "        return (candles.close > 0).astype(float).to_frame('target')\n"
    )
    run = only(jarvis("live", "--strategy", str(path), "--history", "20", "--json"))["run_id"]
    assert jarvis("parity", run).code == 0
    path.unlink()
    fails(jarvis("parity", run), 2, f"the strategy of session {run} is gone")


def test_parity_of_a_session_that_decided_nothing_yet_is_refused(lake: Lake) -> None:
    row = {"run_id": "new", "kind": "paper", "symbol": "BTC/USD", "manifest": "{}"}
    manifest = {"strategy_spec": "buy_and_hold", "parameters": {}}
    lake.append("runs", pd.DataFrame([row | {"manifest": json.dumps(manifest)}]))
    with pytest.raises(BadInput, match="decided nothing yet"):
        check_parity(lake, "new")
