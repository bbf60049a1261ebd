"""What is true of the engine after every operation, worked out again from the fills and the open orders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from tasks.exchange.matching.ledger import Ledger, Money
from tasks.exchange.matching.pit import Pit, Standing
from tasks.exchange.matching.refusals import InvariantBroken
from tasks.exchange.orders import Fill, Order


def check_money(ledger: Ledger) -> None:
    """Raise InvariantBroken if money came from nowhere or went there, or if more is held than there is."""
    for currency, has in ledger.account.items():
        everything = has + ledger.market.get(currency, 0) + ledger.fees.get(currency, 0)
        _expect(f"money in {currency}", everything, ledger.deposited.get(currency, 0))
        held = ledger.held.get(currency, 0)
        if not 0 <= held <= has:
            raise InvariantBroken(f"{currency}: {held} held of {has}")


def check_history(ledger: Ledger, fills: Iterable[Fill], pits: Mapping[str, Pit]) -> None:
    """Raise InvariantBroken unless the pockets are what the deposits and all fills make of them."""
    account, market, fees = ledger.deposited.copy(), Money(Decimal), Money(Decimal)
    for fill in fills:
        rules = pits[fill.symbol].rules
        sign = 1 if fill.side == "buy" else -1
        account[rules.base] += sign * fill.amount
        account[rules.quote] -= sign * fill.cost + fill.fee
        market[rules.base] -= sign * fill.amount
        market[rules.quote] += sign * fill.cost
        fees[rules.quote] += fill.fee
    for name, kept, traded in (
        ("account", ledger.account, account),
        ("market", ledger.market, market),
        ("fees", ledger.fees, fees),
    ):
        for currency in sorted(kept.keys() | traded.keys()):
            _expect(f"{name} in {currency}", kept.get(currency, 0), traded[currency])


def check_holds(ledger: Ledger, expected: Mapping[str, tuple[str, Decimal]]) -> None:
    """Raise InvariantBroken unless money is held for the open orders, for each what it can cost, and for no others."""
    for order_id in sorted(ledger.holds.keys() | expected.keys()):
        _expect(f"hold of order {order_id}", ledger.holds.get(order_id), expected.get(order_id))
    held = Money(Decimal)
    for currency, amount in expected.values():
        held[currency] += amount
    for currency in sorted(ledger.held.keys() | held.keys()):
        _expect(f"held in {currency}", ledger.held.get(currency, 0), held[currency])


def check_orders(orders: Iterable[Order], standing: Mapping[str, Standing]) -> None:
    """Raise InvariantBroken unless every order is the sum of its fills, within its amount, and open if it stands."""
    for order in orders:
        request = order.request
        for name, total in (("amount", order.filled), ("cost", order.cost), ("fee", order.fee)):
            attribute = sum((getattr(fill, name) for fill in order.fills), Decimal(0))
            _expect(f"{name} of order {order.id}", total, attribute)
        if (order.cost if request.in_quote else order.filled) > request.amount:
            raise InvariantBroken(f"order {order.id} is filled beyond its amount")
        _expect(f"whether order {order.id} is open", order.status == "open", order.id in standing)
        if not request.in_quote and (order.status == "closed") != (order.filled == request.amount):
            raise InvariantBroken(f"order {order.id} is {order.status} with {order.filled} of {request.amount}")


def check_places(pits: Iterable[Pit], standing: Mapping[str, Standing]) -> None:
    """Raise InvariantBroken unless each open order has one place, in order of price and turn, and none cross."""
    places = []
    for pit in pits:
        for queue in pit.queues:
            places += [place[2].order.id for place in queue.line]
            _expect(f"order of a queue of {pit.rules.symbol}", queue.line, sorted(queue.line, key=lambda p: p[:2]))
        bid, ask = pit.bids.first, pit.asks.first
        if bid is not None and ask is not None and bid >= ask:
            raise InvariantBroken(f"own orders cross in {pit.rules.symbol}: {bid} and {ask}")
    _expect("places of the open orders", sorted(places), sorted(standing))


def check_client_ids(client_ids: Mapping[str, str], standing: Mapping[str, Standing]) -> None:
    """Raise InvariantBroken unless the client ids in use are those of the open orders, and no others."""
    asked = {id_: place.order.request.client_id for id_, place in standing.items()}
    _expect("client ids", client_ids, {client: id_ for id_, client in asked.items() if client is not None})


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise InvariantBroken(f"{what}: {found}, but it should be {expected}")
