"""The practice exchange's Kraken wire, asked directly: shapes and types of every answer, windows, pages, look-ups."""

from __future__ import annotations

import uuid
from decimal import Decimal
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tasks.exchange.matching.candles import Candle
from tasks.exchange.practice.market.market import Market
from tests.unit.practice_wires import MINUTE, NOW, SECOND, PracticeKraken

LIMIT = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "40000.0"}


@pytest.fixture
def kraken() -> PracticeKraken:
    return PracticeKraken()


def shape(value: Any) -> Any:
    """The keys and JSON types of an answer; of a list, those of its first element."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return type(value).__name__


# Keys and types


def test_assets_and_pairs_have_krakens_keys_and_types(kraken: PracticeKraken) -> None:
    assert shape(kraken.public("Assets", asset="XBT")) == {
        "error": [],
        "result": {
            "XXBT": {"aclass": "str", "altname": "str", "decimals": "int", "display_decimals": "int", "status": "str"}
        },
    }
    (name,), (pair,) = zip(*kraken.public("AssetPairs", pair="XBTUSD")["result"].items(), strict=True)
    assert name == "XXBTZUSD"
    assert {key: pair[key] for key in ("altname", "wsname", "base", "quote", "status", "ordermin", "costmin")} == {
        "altname": "XBTUSD",
        "wsname": "XBT/USD",
        "base": "XXBT",
        "quote": "ZUSD",
        "status": "online",
        "ordermin": "0.00005",
        "costmin": "0.5",
    }
    assert (pair["tick_size"], pair["pair_decimals"], pair["lot_decimals"]) == ("0.1", 1, 8)
    assert pair["fees"][:2] == [[0, 0.4], [10000, 0.35]]
    assert pair["fees_maker"][:2] == [[0, 0.25], [10000, 0.2]]


def test_market_data_has_krakens_keys_and_types(kraken: PracticeKraken) -> None:
    row = ["int", "str", "str", "str", "str", "str", "str", "int"]
    candles = kraken.public("OHLC", pair="XBTUSD", interval="1")["result"]
    assert [type(value).__name__ for value in candles["XXBTZUSD"][0]] == row
    assert shape(kraken.public("Ticker", pair="XBTUSD")["result"]) == {
        "XXBTZUSD": {name: ["str"] for name in "abcvplh"} | {"t": ["int"], "o": "str"}
    }
    ticker = kraken.public("Ticker", pair="XBTUSD")["result"]["XXBTZUSD"]
    assert {name: len(value) for name, value in ticker.items() if name != "o"} == {
        "a": 3, "b": 3, "c": 2, "v": 2, "p": 2, "t": 2, "l": 2, "h": 2,
    }  # fmt: skip
    depth = kraken.public("Depth", pair="XBTUSD", count="3")["result"]["XXBTZUSD"]
    assert {side: [type(value).__name__ for value in rows[0]] for side, rows in depth.items()} == {
        "asks": ["str", "str", "int"],
        "bids": ["str", "str", "int"],
    }
    trades = kraken.public("Trades", pair="XBTUSD", count="3")["result"]
    assert [type(value).__name__ for value in trades["XXBTZUSD"][0]] == [
        "str", "str", "float", "str", "str", "str", "int",
    ]  # fmt: skip
    assert trades["last"] == str(list(kraken.market.ticks(NOW - MINUTE, NOW))[-1].time)
    assert shape(kraken.public("Time")["result"]) == {"unixtime": "int", "rfc1123": "str"}
    assert kraken.public("SystemStatus")["result"] == {"status": "online", "timestamp": "2026-01-15T12:30:15Z"}


def test_money_has_krakens_keys_and_types(kraken: PracticeKraken) -> None:
    kraken.private("AddOrder", **LIMIT)
    assert kraken.private("Balance")["result"]["ZUSD"] == "100000.0000"
    assert kraken.private("BalanceEx")["result"]["ZUSD"] == {"balance": "100000.0000", "hold_trade": "401.6000"}
    volume = kraken.private("TradeVolume", pair="XXBTZUSD")["result"]
    fee = {"fee": "0.4000", "minfee": "0.1000", "maxfee": "0.4000", "nextfee": "0.3500"}
    assert volume == {
        "currency": "ZUSD",
        "volume": "0.0000",
        "fees": {"XXBTZUSD": fee | {"nextvolume": "10000.0000", "tiervolume": "0.0000"}},
        "fees_maker": {
            "XXBTZUSD": {
                "fee": "0.2500",
                "minfee": "0.0000",
                "maxfee": "0.2500",
                "nextfee": "0.2000",
                "nextvolume": "10000.0000",
                "tiervolume": "0.0000",
            }
        },
    }
    token = kraken.private("GetWebSocketsToken")["result"]
    assert shape(token) == {"token": "str", "expires": "int"}


def test_an_order_has_krakens_keys_and_types(kraken: PracticeKraken) -> None:
    mine = str(uuid.uuid4())
    answer = kraken.private("AddOrder", **LIMIT, cl_ord_id=mine)["result"]
    assert answer["descr"] == {"order": "buy 0.01000000 XBTUSD @ limit 40000.0"}
    (txid,) = answer["txid"]
    (order,) = kraken.private("OpenOrders")["result"]["open"].values()
    assert order == {
        "refid": None,
        "userref": None,
        "cl_ord_id": mine,
        "status": "open",
        "opentm": NOW / SECOND,
        "starttm": 0,
        "expiretm": 0,
        "descr": {
            "pair": "XBTUSD",
            "type": "buy",
            "ordertype": "limit",
            "price": "40000.0",
            "price2": "0",
            "leverage": "none",
            "order": "buy 0.01000000 XBTUSD @ limit 40000.0",
            "close": "",
        },
        "vol": "0.01000000",
        "vol_exec": "0.00000000",
        "cost": "0.00000",
        "fee": "0.00000",
        "price": "0.0",
        "stopprice": "0.0",
        "limitprice": "0.0",
        "misc": "",
        "oflags": "fciq",
    }
    assert kraken.private("CancelOrder", txid=txid) == {"error": [], "result": {"count": 1}}
    closed = kraken.private("ClosedOrders")["result"]
    assert closed["count"] == 1
    ended = closed["closed"][txid]
    assert set(ended) == set(order) | {"closetm", "reason"}
    assert (ended["status"], ended["closetm"], ended["reason"]) == ("canceled", NOW / SECOND, "User requested")


def test_a_trade_has_krakens_keys_and_types_and_the_id_of_its_market(kraken: PracticeKraken) -> None:
    (txid,) = kraken.private("AddOrder", **LIMIT | {"ordertype": "market"})["result"]["txid"]
    order = kraken.private("QueryOrders", txid=txid, trades="True")["result"][txid]
    assert (order["status"], order["reason"], order["vol_exec"]) == ("closed", None, "0.01000000")
    history = kraken.private("TradesHistory")["result"]
    assert history["count"] == 1
    ((trade_id, trade),) = history["trades"].items()
    assert order["trades"] == [trade_id]
    assert shape(trade) == dict.fromkeys(
        ("ordertxid", "pair", "type", "ordertype", "price", "cost", "fee", "vol", "margin", "leverage", "misc"), "str"
    ) | {"time": "float", "trade_id": "int", "maker": "bool"}
    assert (trade["ordertxid"], trade["pair"], order["descr"]["pair"]) == (txid, "XXBTZUSD", "XBTUSD")
    assert Decimal(trade["cost"]) == Decimal(trade["price"]) * Decimal(trade["vol"]) == Decimal(order["cost"])
    assert kraken.private("QueryTrades", txid=trade_id)["result"] == {trade_id: trade}
    assert "trades" not in kraken.private("QueryOrders", txid=txid)["result"][txid]


def test_the_balance_is_exactly_what_costs_and_fees_leave(kraken: PracticeKraken) -> None:
    kraken.private("AddOrder", **LIMIT | {"ordertype": "market", "volume": "0.12345678"})
    (trades,) = [kraken.private("TradesHistory")["result"]["trades"].values()]
    spent = sum((Decimal(trade["cost"]) + Decimal(trade["fee"]) for trade in trades), Decimal(0))
    assert Decimal(kraken.private("Balance")["result"]["ZUSD"]) == 100_000 - spent
    assert Decimal(kraken.private("Balance")["result"]["XXBT"]) == Decimal("2.12345678")


def test_orders_that_wait_are_described_as_kraken_does(kraken: PracticeKraken) -> None:
    below, limit = f"{kraken.last - 500:.1f}", f"{kraken.last - 510:.1f}"
    order = {"pair": "XBTUSD", "type": "sell", "volume": "0.5", "price": below}
    cases = [
        ({"ordertype": "stop-loss"}, f"sell 0.50000000 XBTUSD @ stop loss {below}"),
        (
            {"ordertype": "stop-loss-limit", "price2": limit},
            f"sell 0.50000000 XBTUSD @ stop loss {below} -> limit {limit}",
        ),
        ({"ordertype": "take-profit"}, f"sell 0.50000000 XBTUSD @ take profit {below}"),
    ]  # fmt: skip
    for more, told in cases:
        assert kraken.private("AddOrder", **order, **more, validate="true")["result"] == {"descr": {"order": told}}
    (txid,) = kraken.private("AddOrder", **order, ordertype="stop-loss-limit", price2=limit)["result"]["txid"]
    row = kraken.private("QueryOrders", txid=txid)["result"][txid]
    assert (row["stopprice"], row["limitprice"]) == (below, limit)
    assert (row["descr"]["price"], row["descr"]["price2"]) == (below, limit)


def test_times_are_told_by_a_clock_that_is_wrong_but_kept_by_the_right_one(kraken: PracticeKraken) -> None:
    kraken.clock.skew = 90 * SECOND
    assert kraken.public("Time")["result"]["unixtime"] == NOW // SECOND + 90
    switch = kraken.private("CancelAllOrdersAfter", timeout="10")["result"]
    assert switch == {"currentTime": "2026-01-15T12:31:45Z", "triggerTime": "2026-01-15T12:31:55Z"}
    (txid,) = kraken.private("AddOrder", **LIMIT)["result"]["txid"]
    kraken.wait(10)
    ended = kraken.private("QueryOrders", txid=txid)["result"][txid]
    assert (ended["status"], ended["closetm"]) == ("canceled", NOW // SECOND + 10)


# Candles and trades


@pytest.mark.parametrize("interval", [1, 5, 15, 30, 60, 240, 1440, 10080, 21600])
def test_candles_of_every_interval_end_with_the_open_one_and_last_is_the_closed_one_before(
    kraken: PracticeKraken, interval: int
) -> None:
    result = kraken.public("OHLC", pair="XBTUSD", interval=str(interval))["result"]
    rows, seconds = result["XXBTZUSD"], interval * 60
    assert len(rows) == 721
    assert rows[-1][0] == NOW // SECOND // seconds * seconds
    assert result["last"] == rows[-2][0]
    assert [b[0] - a[0] for a, b in pairwise(rows)] == [seconds] * 720


def test_candles_since_a_time_are_those_that_open_later_and_the_open_one_always(kraken: PracticeKraken) -> None:
    everything = kraken.public("OHLC", pair="XBTUSD")["result"]["XXBTZUSD"]
    since = everything[-4][0]
    assert kraken.public("OHLC", pair="XBTUSD", since=str(since))["result"]["XXBTZUSD"] == everything[-3:]
    assert kraken.public("OHLC", pair="XBTUSD", since=str(since - 1))["result"]["XXBTZUSD"] == everything[-4:]
    later = kraken.public("OHLC", pair="XBTUSD", since=str(NOW // SECOND + 10**6))["result"]
    assert later == {"XXBTZUSD": everything[-1:], "last": everything[-2][0]}
    assert kraken.public("OHLC", pair="XBTUSD", since="-3600")["result"]["XXBTZUSD"] == everything


def test_a_candle_that_closes_is_the_last_of_the_closed_ones_then(kraken: PracticeKraken) -> None:
    before = kraken.public("OHLC", pair="XBTUSD")["result"]
    kraken.wait(60)
    after = kraken.public("OHLC", pair="XBTUSD", since=str(before["last"]))["result"]
    assert [row[0] for row in after["XXBTZUSD"]] == [before["last"] + 60, before["last"] + 120]
    assert after["last"] == before["last"] + 60


def test_a_candle_without_trades_is_flat_and_counts_none(kraken: PracticeKraken) -> None:
    quiet = Candle(NOW, *[Decimal(5)] * 4, Decimal(0), 0)
    kraken.exchange.markets["BTC/USD"] = cast("Market", SimpleNamespace(candles=lambda *_: [quiet]))
    (row,) = kraken.public("OHLC", pair="XBTUSD", interval="1")["result"]["XXBTZUSD"]
    assert row == [NOW // SECOND, "5.0", "5.0", "5.0", "5.0", "0.0", "0.00000000", 0]


def test_trades_since_are_counted_in_seconds_or_nanoseconds(kraken: PracticeKraken) -> None:
    begin = NOW - 5 * MINUTE
    ticks = list(kraken.market.ticks(begin, NOW))
    for since in (str(begin), f"{begin // SECOND}", f"{begin // SECOND}.0"):
        result = kraken.public("Trades", pair="XBTUSD", since=since)["result"]
        assert [row[6] for row in result["XXBTZUSD"]] == [tick.time // 1000 for tick in ticks]
        assert result["last"] == str(ticks[-1].time)
    assert kraken.public("Trades", pair="XBTUSD", since=result["last"])["result"] == {
        "XXBTZUSD": [],
        "last": str(ticks[-1].time),
    }
    assert len(kraken.public("Trades", pair="XBTUSD")["result"]["XXBTZUSD"]) == 1000


@pytest.mark.parametrize("hours", [0, 0.3, 7.6, 12.25, 30])
def test_the_ticker_agrees_with_the_minutes_of_its_day(kraken: PracticeKraken, hours: float) -> None:
    kraken.wait(hours * 3600)
    ticker = kraken.public("Ticker", pair="XBTUSD")["result"]["XXBTZUSD"]
    now = kraken.exchange.synced
    day = kraken.minutes(1440)
    today = kraken.minutes((now // MINUTE) % 1440 + 1)
    for at, candles in enumerate((today, day)):
        assert Decimal(ticker["v"][at]) == sum(candle.volume for candle in candles)
        assert ticker["t"][at] == sum(candle.trades for candle in candles)
        assert Decimal(ticker["h"][at]) == max(candle.high for candle in candles)
        assert Decimal(ticker["l"][at]) == min(candle.low for candle in candles)
        assert Decimal(ticker["l"][at]) <= Decimal(ticker["p"][at]) <= Decimal(ticker["h"][at])
    assert Decimal(ticker["o"]) == today[0].open
    assert Decimal(ticker["c"][0]) == day[-1].close


# Looking up


def test_pages_of_fifty_tell_how_many_there_are(kraken: PracticeKraken) -> None:
    ids = []
    for _ in range(120):
        ids += kraken.private("AddOrder", **LIMIT)["result"]["txid"]
        kraken.private("CancelAll")
    pages = [kraken.private("ClosedOrders", ofs=ofs)["result"] for ofs in (0, 50, 100, 150)]
    assert [page["count"] for page in pages] == [120] * 4
    assert [txid for page in pages for txid in page["closed"]] == ids[::-1]
    assert [len(page["closed"]) for page in pages] == [50, 50, 20, 0]


def test_times_bound_what_is_looked_up_the_start_excluded_the_end_included(kraken: PracticeKraken) -> None:
    ids = []
    for _ in range(4):
        ids += kraken.private("AddOrder", **LIMIT | {"ordertype": "market"})["result"]["txid"]
        kraken.wait(10)
    begin = NOW // SECOND

    def closed(**bounds: Any) -> list[str]:
        found = list(kraken.private("ClosedOrders", **bounds)["result"]["closed"])
        trades = kraken.private("TradesHistory", **bounds)["result"]["trades"].values()
        assert list(dict.fromkeys(trade["ordertxid"] for trade in trades)) == found
        return [str(ids.index(txid)) for txid in found]

    assert closed(start=begin) == ["3", "2", "1"]
    assert closed(start=begin - 1) == ["3", "2", "1", "0"]
    assert closed(end=begin + 10) == ["1", "0"]
    assert closed(start=ids[0], end=ids[2]) == ["2", "1"]
    assert closed(start=f"{begin + 9}.5", end=f"{begin + 20}.25") == ["2", "1"]


def test_orders_are_found_by_userref_and_client_id(kraken: PracticeKraken) -> None:
    for number in ("5", "5", "6"):
        kraken.private("AddOrder", **LIMIT, userref=number)
    kraken.private("AddOrder", **LIMIT, cl_ord_id="mine")
    assert len(kraken.private("OpenOrders", userref="5")["result"]["open"]) == 2
    assert len(kraken.private("OpenOrders", cl_ord_id="mine")["result"]["open"]) == 1
    assert kraken.private("CancelOrder", txid="5")["result"] == {"count": 2}
    assert kraken.private("ClosedOrders", userref="5")["result"]["count"] == 2
    assert kraken.private("ClosedOrders", userref="6")["result"]["count"] == 0
    assert kraken.refusal("CancelOrder", txid="5") == "EOrder:Unknown order"


def test_several_ids_are_separated_by_commas_and_all_must_be_known(kraken: PracticeKraken) -> None:
    ids = [kraken.private("AddOrder", **LIMIT | {"ordertype": "market"})["result"]["txid"][0] for _ in range(3)]
    assert list(kraken.private("QueryOrders", txid=", ".join(ids))["result"]) == ids
    assert kraken.refusal("QueryOrders", txid=f"{ids[0]},OAAAAA-BBBBB-CCCCCC") == "EOrder:Unknown order"
    assert kraken.refusal("QueryOrders", txid=",".join(f"O{n}" for n in range(51))).startswith("EGeneral:Invalid arg")
    assert kraken.refusal("QueryTrades", txid="TAAAAA-BBBBB-CCCCCC") == "EGeneral:Invalid arguments:txid"
    assert kraken.refusal("QueryOrders", txid=ids[0], userref=str(uuid.uuid4())) == "EGeneral:Invalid arguments:userref"
