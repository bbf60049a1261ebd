"""Each kind of order by figures worked out by hand: see matching_market for the depth that they meet."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tasks.exchange.matching import MatchingEngine, Reason, Refusal, RefusedOrder, Tick
from tasks.exchange.orders import OrderType, Side
from tasks.exchange.units import SECOND
from tests.unit.matching_market import RULES, START, SYMBOL, D, money, open_market, order, printed, trades


def test_a_market_order_to_buy_walks_up_the_depth_and_pays_the_taker_fee() -> None:
    engine = open_market()
    bought = engine.submit(order("buy", "market", "4"))
    assert trades(bought.fills) == [("101", "1"), ("102", "2"), ("103", "1")]
    assert (bought.status, bought.reason, bought.closed) == ("closed", "", START)
    assert (bought.filled, bought.cost, bought.average) == (4, 408, 102)
    assert (bought.fee, bought.fee_currency) == (D("1.632"), "USD")
    assert not any(fill.maker for fill in bought.fills)
    assert money(engine, "USD") == (D("99590.368"), 0)
    assert money(engine, "BTC") == (1004, 0)


def test_a_market_order_to_sell_walks_down_the_depth() -> None:
    engine = open_market()
    sold = engine.submit(order("sell", "market", "4"))
    assert trades(sold.fills) == [("99", "1"), ("98", "2"), ("97", "1")]
    assert (sold.cost, sold.fee) == (392, D("1.568"))
    assert money(engine, "USD") == (D("100390.432"), 0)
    assert money(engine, "BTC") == (996, 0)


def test_depth_that_was_taken_is_gone_until_the_next_print() -> None:
    engine = open_market()
    engine.submit(order("buy", "market", "4"))
    assert trades(engine.submit(order("buy", "market", "3")).fills) == [("103", "2"), ("104", "1")]
    assert trades(engine.submit(order("sell", "market", "1")).fills) == [("99", "1")]
    printed(engine, "100")
    assert trades(engine.submit(order("buy", "market", "1")).fills) == [("101", "1")]


def test_a_market_order_beyond_the_depth_is_filled_in_part_and_cancelled() -> None:
    engine = open_market(usd="1000000")
    bought = engine.submit(order("buy", "market", "5051"))
    assert (bought.filled, bought.cost) == (5050, 843_350)  # the sum of k, of k times (100 + k), for k to 100
    assert (bought.status, bought.reason) == ("cancelled", Reason.NO_DEPTH)


@pytest.mark.parametrize(
    ("to_spend", "amount", "cost"), [("408", "4", "408"), ("100", "0.99", "99.99"), ("101", "1", "101")]
)
def test_an_order_for_money_spends_it_before_fees_and_no_more(to_spend: str, amount: str, cost: str) -> None:
    engine = open_market()
    bought = engine.submit(order("buy", "market", to_spend, in_quote=True))
    assert (bought.status, bought.filled, bought.cost) == ("closed", D(amount), D(cost))
    assert bought.fee == D(cost) * D("0.004")


def test_the_fee_of_an_order_for_money_comes_on_top_and_must_be_there() -> None:
    with pytest.raises(RefusedOrder, match=r"100\.38996 USD needed, 100 free"):
        open_market(usd="100").submit(order("buy", "market", "100", in_quote=True))
    assert open_market(usd="101").submit(order("buy", "market", "100", in_quote=True)).status == "closed"


def test_money_for_less_than_one_step_buys_nothing_and_is_refused() -> None:
    engine = open_market(rules=replace(RULES, amount_step=D(1), min_amount=D(1)))
    with pytest.raises(RefusedOrder, match="100 USD buys nothing") as refused:
        engine.submit(order("buy", "market", "100", in_quote=True))  # one at least, which costs 101
    assert refused.value.refusal is Refusal.MIN_AMOUNT


def test_a_limit_order_that_crosses_takes_up_to_its_price_and_rests_with_the_remainder() -> None:
    engine = open_market()
    bought = engine.submit(order("buy", "limit", "5", "102"))
    assert trades(bought.fills) == [("101", "1"), ("102", "2")]
    assert (bought.status, bought.fee) == ("open", D("1.22"))  # 0.004 of 305
    assert money(engine, "USD") == (D("99693.78"), D("204.816"))  # holds 2 * 102 * 1.004


def test_a_resting_order_fills_only_when_the_price_trades_through_it() -> None:
    engine = open_market()
    bid = engine.submit(order("buy", "limit", "1", "95"))
    assert money(engine, "USD") == (100_000, D("95.38"))
    assert printed(engine, "95") == []
    (fill,) = printed(engine, "94")
    assert (fill.price, fill.amount, fill.cost, fill.fee, fill.maker) == (95, 1, 95, D("0.2375"), True)
    assert (fill.time, bid.status, bid.closed) == (START + 2 * SECOND, "closed", START + 2 * SECOND)
    assert money(engine, "USD") == (D("99904.7625"), 0)


def test_a_resting_order_to_sell_holds_what_it_sells() -> None:
    engine = open_market()
    engine.submit(order("sell", "limit", "3", "105"))
    assert money(engine, "BTC") == (1000, 3)
    assert printed(engine, "105") == []
    assert trades(printed(engine, "106")) == [("105", "1")]
    assert money(engine, "BTC") == (999, 2)


def test_own_orders_get_their_share_of_a_print_down_to_the_step() -> None:
    engine = open_market(share=D("0.25"))
    bid = engine.submit(order("buy", "limit", "2", "95"))
    assert printed(engine, "94", "0.03") == []
    assert trades(printed(engine, "94", "4.07")) == [("95", "1.01")]
    assert money(engine, "USD")[1] == D("0.99") * 95 * D("1.004")
    assert trades(printed(engine, "94", "40")) == [("95", "0.99")]
    assert (bid.status, len(bid.fills)) == ("closed", 2)


def test_the_better_price_goes_first_and_then_the_earlier_order() -> None:
    engine = open_market()
    low, early, late, high = [engine.submit(order("buy", "limit", "1", price)) for price in ("94", "95", "95", "96")]
    filled = printed(engine, "93", "25")
    assert [fill.order_id for fill in filled] == [high.id, early.id, late.id]
    assert trades(filled) == [("96", "1"), ("95", "1"), ("95", "0.5")]
    assert [fill.order_id for fill in printed(engine, "93", "25")] == [late.id, low.id]


def test_a_jump_over_an_order_to_sell_fills_it_at_its_own_price() -> None:
    engine = open_market()
    engine.submit(order("sell", "limit", "1", "105"))
    assert trades(printed(engine, "150")) == [("105", "1")]


def test_what_the_depth_offers_beyond_a_resting_order_is_not_for_a_later_one() -> None:
    engine = open_market()
    engine.submit(order("buy", "limit", "5", "95"))
    printed(engine, "90", "10")
    assert engine.book(SYMBOL, 1).asks[0].price == 96
    assert trades(engine.submit(order("buy", "market", "1")).fills) == [("96", "1")]
    engine.cancel_all()
    assert engine.book(SYMBOL, 1).asks[0].price == 91


def test_ioc_takes_what_is_there_and_cancels_the_rest() -> None:
    engine = open_market()
    bought = engine.submit(order("buy", "limit", "5", "102", time_in_force="IOC"))
    assert (bought.filled, bought.status, bought.reason) == (3, "cancelled", Reason.IMMEDIATE)
    none = engine.submit(order("buy", "limit", "5", "99", time_in_force="IOC"))
    assert (none.filled, none.status, none.reason) == (0, "cancelled", Reason.IMMEDIATE)
    assert money(engine, "USD")[1] == 0


def test_post_only_rests_below_the_market_and_is_refused_where_it_would_take() -> None:
    engine = open_market()
    assert engine.submit(order("buy", "limit", "1", "100", post_only=True)).status == "open"
    with pytest.raises(RefusedOrder) as refused:
        engine.submit(order("buy", "limit", "1", "101", post_only=True))
    assert refused.value.refusal is Refusal.POST_ONLY
    with pytest.raises(RefusedOrder):
        engine.submit(order("sell", "limit", "1", "100", post_only=True))


def test_gtd_expires_at_its_time_and_not_before() -> None:
    engine = open_market()
    bid = engine.submit(order("buy", "limit", "1", "95", time_in_force="GTD", expires=START + 10 * SECOND))
    engine.advance(START + 10 * SECOND - 1)
    assert bid.status == "open"
    engine.advance(START + 60 * SECOND)
    assert (bid.status, bid.reason, bid.closed) == ("expired", Reason.EXPIRED, START + 10 * SECOND)
    assert money(engine, "USD") == (100_000, 0)


def test_an_order_does_not_fill_by_a_print_at_the_time_of_its_expiry() -> None:
    engine = open_market()
    engine.submit(order("buy", "limit", "1", "95", time_in_force="GTD", expires=START + 10 * SECOND))
    assert printed(engine, "90", after=10) == []


TRIGGERS = [
    ("stop_loss", "sell", "90", "91", "89"),
    ("stop_loss", "buy", "110", "109", "111"),
    ("take_profit", "sell", "110", "109", "109"),
    ("take_profit", "buy", "90", "91", "91"),
]


@pytest.mark.parametrize(("kind", "side", "trigger", "not_yet", "trades_at"), TRIGGERS)
def test_a_trigger_wakes_when_it_is_reached(
    kind: OrderType, side: Side, trigger: str, not_yet: str, trades_at: str
) -> None:
    engine = open_market()
    waiting = engine.submit(order(side, kind, "1", trigger=trigger))
    held = money(engine, "USD" if side == "buy" else "BTC")[1]
    assert held == (D(trigger) * D("1.004") if side == "buy" else 1)
    assert printed(engine, not_yet) == []
    assert not waiting.triggered
    (fill,) = printed(engine, trigger)
    assert (fill.price, fill.maker, waiting.status, waiting.triggered) == (D(trades_at), False, "closed", True)
    assert [money(engine, currency)[1] for currency in ("USD", "BTC")] == [0, 0]


@pytest.mark.parametrize(("kind", "side", "trigger", "not_yet", "trades_at"), TRIGGERS)
def test_a_trigger_with_a_limit_becomes_a_limit_order(
    kind: str, side: Side, trigger: str, not_yet: str, trades_at: str
) -> None:
    engine = open_market()
    waiting = engine.submit(order(side, f"{kind}_limit", "3", trades_at, trigger=trigger))  # type: ignore[arg-type]
    assert printed(engine, not_yet) == []
    assert trades(printed(engine, trigger)) == [(trades_at, "1")]
    assert (waiting.status, waiting.triggered) == ("open", True)
    through = D(trades_at) + (1 if side == "sell" else -1)
    assert trades(printed(engine, str(through))) == [(trades_at, "1")]
    assert waiting.fills[-1].maker


def test_a_trigger_that_is_reached_already_wakes_at_once() -> None:
    engine = open_market()
    sold = engine.submit(order("sell", "stop_loss", "1", trigger="100"))
    assert (sold.status, sold.triggered, trades(sold.fills)) == ("closed", True, [("99", "1")])


def test_a_stop_that_is_jumped_over_sells_at_the_price_that_is_there() -> None:
    engine = open_market()
    engine.submit(order("sell", "stop_loss", "1", trigger="90"))
    assert trades(printed(engine, "50")) == [("49", "1")]


def test_of_two_stops_the_one_that_the_price_comes_to_first_sells_first() -> None:
    engine = open_market()
    far, near = [engine.submit(order("sell", "stop_loss", "1", trigger=price)) for price in ("80", "90")]
    assert [(fill.order_id, fill.price) for fill in printed(engine, "70")] == [(near.id, 69), (far.id, 68)]


def test_a_stop_whose_money_does_not_suffice_when_it_wakes_is_cancelled_whole() -> None:
    engine = open_market(usd="111")
    stop = engine.submit(order("buy", "stop_loss", "1", trigger="110"))
    assert printed(engine, "110") == []  # asks 111 and the fee
    assert (stop.status, stop.reason, stop.filled) == ("cancelled", Reason.FUNDS, 0)
    assert money(engine, "USD") == (111, 0)


def test_an_order_takes_its_turn_when_it_wakes_not_when_it_was_placed() -> None:
    engine = open_market()
    woken = engine.submit(order("buy", "take_profit_limit", "1", "80", trigger="90"))
    earlier = engine.submit(order("buy", "limit", "1", "80"))
    engine.take_changed()
    printed(engine, "90")
    assert engine.take_changed() == [woken]
    assert [fill.order_id for fill in printed(engine, "79", "20")] == [earlier.id, woken.id]


def test_a_limit_that_a_print_wakes_is_not_filled_by_that_print() -> None:
    engine = open_market()
    engine.submit(order("buy", "stop_loss_limit", "200", "120", trigger="110"))
    assert all(not fill.maker for fill in printed(engine, "110", "1000"))


def test_an_order_never_trades_with_an_own_one() -> None:
    engine = open_market()
    engine.submit(order("sell", "limit", "1", "103"))
    bought = engine.submit(order("buy", "limit", "10", "105"))
    assert trades(bought.fills) == [("101", "1"), ("102", "2")]
    assert (bought.status, bought.reason) == ("cancelled", Reason.SELF_TRADE)
    assert engine.submit(order("buy", "market", "10")).reason == Reason.SELF_TRADE
    assert engine.submit(order("buy", "limit", "1", "102")).status == "open"


def test_an_order_that_is_filled_before_it_comes_to_an_own_one_is_filled() -> None:
    engine = open_market()
    engine.submit(order("sell", "limit", "1", "103"))
    assert engine.submit(order("buy", "market", "3")).status == "closed"


@pytest.mark.parametrize("price", ["102", "99", None])
def test_a_fault_fills_a_fraction_and_cancels_the_rest(price: str | None) -> None:
    engine = open_market()
    kind: OrderType = "limit" if price else "market"
    cut = engine.submit(order("buy", kind, "2", price), fill_limit=D("0.5"))
    assert (cut.filled, cut.status, cut.reason) == (0 if price == "99" else 1, "cancelled", Reason.EXCHANGE)
    assert money(engine, "USD")[1] == 0
    assert engine.submit(order("buy", "market", "2"), fill_limit=None).status == "closed"


def test_validate_checks_the_request_and_neither_money_nor_depth_and_places_nothing() -> None:
    engine = open_market(usd="0", btc="0")
    before = engine.snapshot()
    checked = engine.submit(order("buy", "limit", "10", "101", post_only=True), validate=True)
    assert (checked.id, checked.fills, engine.orders, engine.snapshot()) == ("", [], {}, before)
    with pytest.raises(RefusedOrder):
        engine.submit(order("buy", "limit", "0.04", "101"), validate=True)


def test_cancel_releases_the_money_and_a_second_cancel_is_refused() -> None:
    engine = open_market()
    bid = engine.submit(order("buy", "limit", "1", "95", client_id="mine"))
    assert engine.cancel_client("mine") is bid
    assert (bid.status, bid.reason, money(engine, "USD")) == ("cancelled", Reason.ASKED, (100_000, 0))
    for again in (lambda: engine.cancel(bid.id), lambda: engine.cancel_client("mine")):
        with pytest.raises(RefusedOrder) as refused:
            again()
        assert refused.value.refusal is Refusal.UNKNOWN_ORDER


def test_cancel_all_cancels_what_rests_and_what_waits() -> None:
    engine = open_market()
    placed = [
        engine.submit(order("buy", "limit", "1", "95")),
        engine.submit(order("sell", "limit", "1", "105")),
        engine.submit(order("sell", "stop_loss", "1", trigger="90")),
        engine.submit(order("buy", "take_profit_limit", "1", "85", trigger="90")),
    ]
    assert engine.open_orders() == placed
    assert engine.cancel_all() == placed
    assert engine.open_orders() == engine.cancel_all() == []
    assert [money(engine, currency)[1] for currency in ("USD", "BTC")] == [0, 0]


def test_a_client_id_is_unique_among_open_orders_only() -> None:
    engine = open_market()
    first, second = [engine.submit(order("buy", "market", "1", client_id="twice")) for _ in range(2)]
    assert first.id != second.id
    assert engine.balances()["BTC"].total == 1002
    engine.submit(order("buy", "limit", "1", "95", client_id="twice"))
    with pytest.raises(RefusedOrder) as refused:
        engine.submit(order("buy", "market", "1", client_id="twice"))
    assert refused.value.refusal is Refusal.DUPLICATE_CLIENT_ID
    printed(engine, "90")
    assert engine.submit(order("buy", "market", "1", client_id="twice")).status == "closed"


def test_the_dead_mans_switch_cancels_everything_at_its_time() -> None:
    engine = open_market()
    bid = engine.submit(order("buy", "limit", "1", "95"))
    assert engine.cancel_all_after(60) == START + 60 * SECOND
    engine.advance(START + 60 * SECOND - 1)
    assert bid.status == "open"
    engine.advance(START + 90 * SECOND)
    assert (bid.status, bid.reason, bid.closed) == ("cancelled", Reason.DEAD_MAN, START + 60 * SECOND)
    later = engine.submit(order("buy", "limit", "1", "95"))
    engine.advance(START + 300 * SECOND)
    assert later.status == "open"


def test_the_dead_mans_switch_is_set_anew_and_disarmed() -> None:
    engine = open_market()
    bid = engine.submit(order("buy", "limit", "1", "95"))
    engine.cancel_all_after(60)
    engine.advance(START + 50 * SECOND)
    assert engine.cancel_all_after(60) == START + 110 * SECOND
    engine.advance(START + 100 * SECOND)
    assert engine.cancel_all_after(0) is None
    engine.advance(START + 1000 * SECOND)
    assert bid.status == "open"


def test_what_is_due_happens_in_the_order_of_its_times() -> None:
    engine = open_market()
    expiries = (30, 60, 61)
    bids = [
        engine.submit(order("buy", "limit", "1", "95", time_in_force="GTD", expires=START + after * SECOND))
        for after in expiries
    ]
    engine.cancel_all_after(60)
    engine.advance(START + 100 * SECOND)
    assert [(bid.reason, bid.closed) for bid in bids] == [
        (Reason.EXPIRED, START + 30 * SECOND),
        (Reason.EXPIRED, START + 60 * SECOND),
        (Reason.DEAD_MAN, START + 60 * SECOND),
    ]


def test_time_never_goes_back() -> None:
    engine = open_market()
    engine.advance(START - 1)
    assert engine.now == START
    engine.submit(order("buy", "limit", "1", "95"))
    (fill,) = engine.trade(SYMBOL, Tick(START - 5, D(90), D(10), "sell"))
    assert fill.time == START


def test_ids_look_like_krakens_and_are_the_same_in_every_run() -> None:
    def ids(engine: MatchingEngine) -> list[str]:
        done = [engine.submit(order("buy", "market", "1")) for _ in range(50)]
        return [each.id for each in done] + [fill.id for fill in engine.fills]

    first = ids(open_market())
    assert first == ids(open_market())
    assert set(first).isdisjoint(ids(open_market(seed=1)))
    assert len(set(first)) == len(first)
    assert all([len(part) for part in each.split("-")] == [6, 5, 6] for each in first)
    assert {each[0] for each in first} == {"O", "T"}


def test_changed_orders_are_told_once() -> None:
    engine = open_market()
    bid, ask = engine.submit(order("buy", "limit", "1", "95")), engine.submit(order("sell", "limit", "1", "105"))
    assert engine.take_changed() == [bid, ask]
    assert engine.take_changed() == []
    printed(engine, "94", "5")
    assert engine.take_changed() == [bid]
    engine.cancel_all()
    assert engine.take_changed() == [bid, ask]


def test_products_that_pythons_own_precision_would_round_stay_exact() -> None:
    engine = open_market(usd="1000000000000000000000")
    engine.deposit("USD", D("0.000000000000000001"))
    engine.submit(order("buy", "market", "0.11"))
    assert str(engine.balances()["USD"].total) == "999999999999999999988.845560000000000001"  # less 11.11 and 0.04444


def test_money_can_be_added_and_taken_but_not_what_orders_hold() -> None:
    engine = open_market(usd="1000")
    engine.submit(order("buy", "limit", "5", "90"))  # holds 451.8
    engine.deposit("USD", D("-548.2"))
    assert engine.balances()["USD"].free == 0
    with pytest.raises(RefusedOrder) as refused:
        engine.deposit("USD", D("-0.01"))
    assert refused.value.refusal is Refusal.FUNDS
    engine.deposit("EUR", D(5))
    assert engine.balances()["EUR"].total == Decimal(5)
    engine.check()
