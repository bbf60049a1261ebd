"""The boundary to exchanges: whatever Jarvis asks of one goes through here, by ccxt."""

from tasks.exchange.client import ask, exchange_names, public_client, unknown_on
from tasks.exchange.trading import Quote, TradingClient, trading_client

__all__ = ["Quote", "TradingClient", "ask", "exchange_names", "public_client", "trading_client", "unknown_on"]
