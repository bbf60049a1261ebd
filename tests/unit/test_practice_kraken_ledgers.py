"""The account's ledger at the practice exchange: by Kraken's wire, by ccxt as it is, and by the client that trades."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest

from data.errors import Refused, TryLater
from tasks.exchange.orders import OrderRequest
from tasks.exchange.practice.keys import secret_of
from tests.servers.practice_exchange import NOW, Practice, practice_exchange

SECOND = 1_000_000_000
D = Decimal

Open = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("own_state")


def deposit(practice: Practice, currency: str, amount: str, **options: Any) -> None:
    practice.ask("POST", "/deposit", {"currency": currency, "amount": amount, **options})


def buy(practice: Practice, volume: str = "0.001") -> str:
    """Buy at the market; the id of the only trade."""
    (order,) = practice.private("AddOrder", pair="XBTUSD", type="buy", ordertype="market", volume=volume)["result"][
        "txid"
    ]
    (trade,) = practice.private("QueryOrders", txid=order, trades="true")["result"][order]["trades"]
    return str(trade)


def ledger(practice: Practice, **asked: Any) -> dict[str, Any]:
    """Ask Kraken's wire for a page."""
    result: dict[str, Any] = practice.private("Ledgers", **asked)["result"]
    return result


def test_a_deposit_a_withdrawal_and_a_trade_are_told_newest_first_each_with_the_balance_it_left(
    practice: Practice,
) -> None:
    deposit(practice, "USD", "250.5")
    practice.step(10)
    trade = buy(practice)
    practice.step(10)
    deposit(practice, "BTC", "-1.25")
    page = ledger(practice)
    rows = list(page["ledger"].values())
    balances = practice.private("Balance")["result"]
    assert page["count"] == 4
    assert [row["type"] for row in rows] == ["withdrawal", "trade", "trade", "deposit"]
    assert [row["time"] for row in rows] == [NOW / SECOND + passed for passed in (20, 10, 10, 0)]
    assert (rows[0]["asset"], D(rows[0]["amount"]), rows[0]["balance"]) == ("XXBT", D("-1.25"), balances["XXBT"])
    quote, base = sorted(rows[1:3], key=lambda row: str(row["asset"]))[::-1]
    assert {quote["refid"], base["refid"]} == {trade}
    assert (quote["asset"], base["asset"], D(base["amount"]), D(base["fee"])) == ("ZUSD", "XXBT", D("0.001"), D(0))
    assert quote["balance"] == balances["ZUSD"]
    assert D(quote["balance"]) == D("100250.5") + D(quote["amount"]) - D(quote["fee"])
    assert (rows[3]["amount"], rows[3]["balance"], rows[3]["aclass"]) == ("250.5000", "100250.5000", "currency")


def test_pages_of_fifty_lead_through_all_entries(practice: Practice) -> None:
    for amount in range(1, 121):
        deposit(practice, "USD", str(amount))
    pages = [ledger(practice, ofs=ofs) for ofs in (0, 50, 100, 150)]
    assert [len(page["ledger"]) for page in pages] == [50, 50, 20, 0]
    assert [page["count"] for page in pages] == [120] * 4
    amounts = [D(row["amount"]) for page in pages for row in page["ledger"].values()]
    assert amounts == list(range(120, 0, -1))
    assert len({name for page in pages for name in page["ledger"]}) == 120


def test_entries_are_chosen_by_type_asset_and_time(practice: Practice) -> None:
    deposit(practice, "USD", "1")
    practice.step(60)
    deposit(practice, "BTC", "2")
    practice.step(60)
    deposit(practice, "USD", "-3")
    buy(practice)
    begin = NOW // SECOND

    def amounts(**asked: Any) -> list[Decimal]:
        return [D(row["amount"]) for row in ledger(practice, **asked)["ledger"].values()]

    assert amounts(type="deposit") == [2, 1]
    assert amounts(type="withdrawal") == [-3]
    assert len(amounts(type="trade")) == 2
    assert amounts(type="staking") == []
    assert amounts(asset="XBT", type="deposit") == [2]
    assert amounts(asset="ZUSD,XXBT", type="deposit") == [2, 1]
    assert amounts(start=begin, type="deposit") == [2]
    assert amounts(start=begin - 1, end=begin + 60) == [2, 1]
    first = next(name for name, row in ledger(practice)["ledger"].items() if row["amount"] == "1.0000")
    assert amounts(start=first, type="deposit") == [2]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"type": "gift"}, "EGeneral:Invalid arguments:type"),
        ({"asset": "XYZ"}, "EQuery:Unknown asset"),
        ({"ofs": "-1"}, "EGeneral:Invalid arguments:ofs"),
        ({"start": "yesterday"}, "EGeneral:Invalid arguments:start"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_krakens_words(
    practice: Practice, asked: dict[str, Any], error: str
) -> None:
    assert practice.private("Ledgers", **asked) == {"error": [error]}


def test_a_silent_movement_is_in_the_balance_and_not_in_the_ledger(practice: Practice) -> None:
    deposit(practice, "USD", "10")
    deposit(practice, "USD", "-4", silent=True)
    deposit(practice, "USD", "1")
    assert [row["balance"] for row in ledger(practice)["ledger"].values()] == ["100007.0000", "100010.0000"]


def test_transfers_are_remembered_over_a_restart_and_the_next_process(tmp_path: Path) -> None:
    with practice_exchange(state=tmp_path) as practice:
        deposit(practice, "USD", "7.5")
        practice.step(5)
        deposit(practice, "USD", "-1", silent=True)
        before = ledger(practice)
        practice.restart()
        assert ledger(practice) == before
    with practice_exchange(state=tmp_path, start=None) as practice:
        assert ledger(practice) == before
        assert practice.ask("GET", "/check")["sound"]


def test_a_deposit_that_is_refused_leaves_no_entry(practice: Practice) -> None:
    with pytest.raises(OSError, match="400"):
        deposit(practice, "USD", "-1000000")
    assert ledger(practice) == {"ledger": {}, "count": 0}


def test_ccxt_as_it_is_reads_the_ledger(practice: Practice) -> None:
    deposit(practice, "USD", "250.5")
    trade = buy(practice)
    practice.step(1)
    deposit(practice, "BTC", "-1.25")
    key = "PRACTICE-ccxt"
    client = ccxt.kraken({"apiKey": key, "secret": secret_of(key)})
    client.urls["api"] = {"public": practice.url, "private": practice.url, "zendesk": practice.url}
    entries = client.fetch_ledger()
    assert [(each["type"], each["currency"], each["direction"]) for each in entries if each["type"] != "trade"] == [
        ("transaction", "USD", "in"),
        ("transaction", "BTC", "out"),
    ]
    assert {each["referenceId"] for each in entries if each["type"] == "trade"} == {trade}
    assert [each["amount"] for each in client.fetch_ledger("BTC") if each["type"] == "transaction"] == [1.25]
    assert client.fetch_ledger(since=(NOW // SECOND + 2) * 1000) == []
    client.close()


def test_the_trading_client_tells_transfers_exactly_and_no_trades(practice: Practice, account_at: Open) -> None:
    deposit(practice, "USD", "250.123456789012345678")
    practice.step(60)
    with account_at(practice) as trader:
        trader.submit(OrderRequest("BTC/USD", "buy", "market", D("0.1")))
        deposit(practice, "BTC", "-1.25")
        found = trader.transfers(NOW)
        assert [(each.currency, each.amount, each.time, each.kind) for each in found] == [
            ("USD", D("250.123456789012345678"), NOW, "deposit"),
            ("BTC", D("-1.25"), NOW + 60 * SECOND, "withdrawal"),
        ]
        assert trader.transfers(NOW + 1)[0].kind == "withdrawal"
        assert trader.transfers(NOW + 61 * SECOND) == []


def test_all_pages_of_transfers_are_read_whatever_the_faults(practice: Practice, account_at: Open) -> None:
    for amount in range(1, 111):
        deposit(practice, "USD", str(amount))
    with account_at(practice) as trader:
        practice.fault("http", "Ledgers", status=502, times=1)
        assert [each.amount for each in trader.transfers(NOW)] != []
        assert sorted(each.amount for each in trader.transfers(NOW)) == list(range(1, 111))


@pytest.mark.parametrize("kind", ["truncated", "html", "empty_object", "null_result"])
def test_a_damaged_ledger_does_not_read_as_an_empty_one(practice: Practice, account_at: Open, kind: str) -> None:
    deposit(practice, "USD", "1")
    with account_at(practice) as trader:
        practice.fault(kind, "Ledgers")
        with pytest.raises(TryLater):
            trader.transfers(NOW)


def test_bitfinex_says_that_its_ledger_is_not_read(practice: Practice, account_at: Open) -> None:
    with account_at(practice, "practice-bitfinex") as trader, pytest.raises(Refused, match="deposits and withdrawals"):
        trader.transfers(NOW)
