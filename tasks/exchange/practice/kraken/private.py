"""Kraken's private endpoints: money, orders, trades, and the entry and end of orders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from tasks.exchange.orders import Order, OrderRequest
from tasks.exchange.practice.exchange import PracticeExchange
from tasks.exchange.practice.keys import Permission
from tasks.exchange.practice.kraken.arguments import Arguments, find_pair, read_order
from tasks.exchange.practice.kraken.history import History
from tasks.exchange.practice.kraken.ledgers import Ledgers
from tasks.exchange.practice.kraken.limits import Limits
from tasks.exchange.practice.kraken.names import Names, Pair, asset, plain
from tasks.exchange.practice.kraken.words import (
    INVALID_ARGUMENTS,
    ORDER_LIMIT,
    UNKNOWN_ORDER,
    KrakenRefusal,
    rfc3339,
    sentence,
)
from tasks.exchange.rules import Tiers

_TOKEN_LASTS = 900
"""Seconds."""
_LONGEST_SWITCH = 86_400
"""Seconds."""


class Endpoint(NamedTuple):
    """A private endpoint: what does the work, who may ask, and what it adds to the key's counter of requests."""

    work: Callable[[Arguments], Any]
    permission: Permission
    points: int = 1


class PrivateEndpoints:
    """Answers by the endpoint's name; raises KrakenRefusal and RefusedOrder."""

    def __init__(self, exchange: PracticeExchange, names: Names, limits: Limits) -> None:
        self._exchange = exchange
        self._engine = exchange.engine
        self._names = names
        self._limits = limits
        self.userrefs: dict[str, int] = {}
        """The sender's own numbers of orders, by the order's id."""
        history = History(exchange.engine, names, self.userrefs)
        self.endpoints: Mapping[str, Endpoint] = {
            "Balance": Endpoint(self._balance, "query"),
            "BalanceEx": Endpoint(self._balances, "query"),
            "TradeVolume": Endpoint(self._volume, "query"),
            "QueryOrders": Endpoint(history.query_orders, "query"),
            "OpenOrders": Endpoint(history.open_orders, "query"),
            "ClosedOrders": Endpoint(history.closed_orders, "query"),
            "TradesHistory": Endpoint(history.trades, "query", 2),
            "QueryTrades": Endpoint(history.query_trades, "query"),
            "Ledgers": Endpoint(Ledgers(exchange, names).page, "query", 2),
            "GetWebSocketsToken": Endpoint(self._token, "query"),
            "AddOrder": Endpoint(self._add, "trade", 0),
            "CancelOrder": Endpoint(self._cancel, "cancel", 0),
            "CancelAll": Endpoint(self._cancel_all, "cancel", 0),
            "CancelAllOrdersAfter": Endpoint(self._cancel_all_after, "cancel", 0),
        }

    def _balance(self, arguments: Arguments) -> dict[str, str]:
        return {name: row["balance"] for name, row in self._balances(arguments).items()}

    def _balances(self, _: Arguments) -> dict[str, dict[str, str]]:
        """Money as it is: with the asset's decimals, and more where fees have left more."""
        rows: dict[str, dict[str, str]] = {}
        for currency, balance in self._engine.balances().items():
            known = asset(currency)
            total, held = (plain(value, known.decimals) for value in (balance.total, balance.held))
            rows[known.id] = {"balance": total, "hold_trade": held}
        return rows

    def _volume(self, arguments: Arguments) -> dict[str, Any]:
        volume = self._engine.volume()
        answer: dict[str, Any] = {"currency": "ZUSD", "volume": plain(volume, 4)}
        if arguments.has("pair"):
            wanted = arguments.ids("pair", len(self._names.pairs) * 4)
            pairs = [find_pair(self._names, name) for name in wanted]
            answer["fees"] = {pair.id: self._fee_row(pair, pair.rules.taker, volume, maker=False) for pair in pairs}
            answer["fees_maker"] = {
                pair.id: self._fee_row(pair, pair.rules.maker, volume, maker=True) for pair in pairs
            }
        return answer

    def _fee_row(self, pair: Pair, tiers: Tiers, volume: Decimal, *, maker: bool) -> dict[str, str | None]:
        """Return the fee in percent, where it began and where the next lower one begins."""
        reached = [start for start, _ in tiers if start <= volume]
        after = next(((start, fee) for start, fee in tiers if start > volume), None)
        return {
            "fee": plain(self._engine.fee(pair.symbol, maker=maker) * 100, 4),
            "minfee": plain(tiers[-1][1] * 100, 4),
            "maxfee": plain(tiers[0][1] * 100, 4),
            "nextfee": plain(after[1] * 100, 4) if after else None,
            "nextvolume": plain(after[0], 4) if after else None,
            "tiervolume": plain(reached[-1], 4),
        }

    def _token(self, _: Arguments) -> dict[str, Any]:
        seed = f"{self._exchange.synced}".encode()
        return {"token": hashlib.sha256(seed).hexdigest(), "expires": _TOKEN_LASTS}

    def _add(self, arguments: Arguments) -> dict[str, Any]:
        request = read_order(arguments, self._names, self._exchange.synced)
        pair, userref = self._names.pairs[request.symbol], arguments.userref()
        self._check_mode(request)
        told = sentence(pair, request, plain(request.amount, pair.lot_decimals))
        if arguments.flag("validate"):
            self._engine.submit(request, validate=True)
            return {"descr": {"order": told}}
        if not self._limits.order(request.symbol, self._exchange.synced):
            raise KrakenRefusal(ORDER_LIMIT)
        order = self._engine.submit(request, fill_limit=self._exchange.take_fill_limit())
        if userref is not None:
            self.userrefs[order.id] = userref
        return {"descr": {"order": told}, "txid": [order.id]}

    def _check_mode(self, request: OrderRequest) -> None:
        """Refuse what the state of the exchange does not let in."""
        mode = self._exchange.status
        resting = request.type == "limit"
        open_to_it = {"post_only": resting and request.post_only, "limit_only": resting, "cancel_only": False}
        if not open_to_it.get(mode, True):
            raise KrakenRefusal(f"EService:Market in {mode} mode")

    def _cancel(self, arguments: Arguments) -> dict[str, int]:
        client_id = arguments.client_id()
        if client_id is not None:
            if arguments.has("txid"):
                raise KrakenRefusal(INVALID_ARGUMENTS)
            return self._counted([self._engine.cancel_client(client_id)])
        name = arguments.text("txid")
        if name in self._engine.orders:
            return self._counted([self._engine.cancel(name)])
        theirs = [order for order in self._engine.open_orders() if str(self.userrefs.get(order.id)) == name]
        if not theirs:
            raise KrakenRefusal(UNKNOWN_ORDER)
        return self._counted([self._engine.cancel(order.id) for order in theirs])

    def _cancel_all(self, _: Arguments) -> dict[str, int]:
        return self._counted(self._engine.cancel_all())

    def _counted(self, cancelled: Iterable[Order]) -> dict[str, int]:
        """Count what is cancelled, here and in the order counters."""
        orders, now = list(cancelled), self._exchange.synced
        for order in orders:
            self._limits.cancel(order.request.symbol, now - order.opened, now)
        return {"count": len(orders)}

    def _cancel_all_after(self, arguments: Arguments) -> dict[str, str]:
        """Set the dead man's switch; both times are as the exchange tells time."""
        timeout = arguments.integer("timeout", most=_LONGEST_SWITCH)
        skew = self._exchange.clock.skew
        fires = self._engine.cancel_all_after(timeout)
        now = rfc3339(self._exchange.synced + skew)
        return {"currentTime": now, "triggerTime": "0" if fires is None else rfc3339(fires + skew)}
