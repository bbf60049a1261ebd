"""The practice exchange: markets that move, an engine that trades in them, and the languages it is spoken to in."""
