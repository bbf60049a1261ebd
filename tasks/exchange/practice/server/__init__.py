"""The process: ports, faults, journal and a state that survives."""
