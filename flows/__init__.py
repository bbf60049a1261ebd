"""How the stages are chained, and when."""
