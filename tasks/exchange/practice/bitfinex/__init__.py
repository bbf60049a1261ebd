"""Bitfinex' language: REST."""
