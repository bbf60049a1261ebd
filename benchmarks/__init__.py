"""What the product costs in time and memory, measured against its peers; not installed, not imported by it."""
