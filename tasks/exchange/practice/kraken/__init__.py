"""Kraken's language: REST and the public websocket."""
