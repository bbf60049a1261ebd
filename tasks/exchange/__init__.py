"""The boundary to exchanges: whatever Jarvis asks of one goes through here, by ccxt."""

from tasks.exchange.client import ask, exchange_names, public_client, unknown_on

__all__ = ["ask", "exchange_names", "public_client", "unknown_on"]
