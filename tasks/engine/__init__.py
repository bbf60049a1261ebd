"""The engine: what an order does to an account, which orders a target makes. One code for backtest, paper and live."""
