"""Lengths of time in nanoseconds, in which the times of exchanges are counted here: whole numbers since 1970 UTC."""

MICROSECOND = 1_000
MILLISECOND = 1_000 * MICROSECOND
SECOND = 1_000 * MILLISECOND
MINUTE = 60 * SECOND
