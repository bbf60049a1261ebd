"""The practice clock: any speed, pause and step, and never a jump that nobody asked for."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadInput
from tasks.exchange.practice.clock import LATEST, Clock
from tasks.exchange.units import MINUTE, SECOND

NOON = 1_768_478_400 * SECOND


class Wall:
    """A wall clock that the test winds."""

    def __init__(self, time: int = NOON) -> None:
        self.time = time

    def __call__(self) -> int:
        return self.time

    def winds(self, seconds: float) -> None:
        self.time += round(seconds * SECOND)


@pytest.fixture
def wall() -> Wall:
    return Wall()


def test_a_clock_without_a_start_shows_the_wall_clocks_time(wall: Wall) -> None:
    clock = Clock(wall=wall)
    wall.winds(3)
    assert clock.now() == wall.time


def test_at_sixty_a_minute_passes_in_a_second(wall: Wall) -> None:
    clock = Clock(60, start=1000, wall=wall)
    wall.winds(2)
    assert clock.now() == 1000 + 2 * MINUTE


def test_half_the_speed_is_half_the_time(wall: Wall) -> None:
    clock = Clock(0.5, start=0, wall=wall)
    wall.winds(3)
    assert clock.now() == 3 * SECOND // 2


def test_a_change_of_speed_counts_from_the_moment_it_is_made(wall: Wall) -> None:
    clock = Clock(60, start=0, wall=wall)
    wall.winds(1)
    clock.set_speed(2)
    assert clock.speed == 2
    assert clock.now() == MINUTE
    wall.winds(5)
    assert clock.now() == MINUTE + 10 * SECOND


def test_a_paused_clock_stands_still_and_goes_on_from_there(wall: Wall) -> None:
    clock = Clock(start=0, wall=wall)
    wall.winds(1)
    clock.pause()
    wall.winds(3600)
    assert clock.paused
    assert clock.now() == SECOND
    clock.resume()
    wall.winds(2)
    assert not clock.paused
    assert clock.now() == 3 * SECOND


def test_pausing_or_resuming_twice_changes_nothing(wall: Wall) -> None:
    clock = Clock(start=0, wall=wall)
    clock.resume()
    wall.winds(1)
    clock.pause()
    wall.winds(1)
    clock.pause()
    wall.winds(1)
    assert clock.now() == SECOND


@pytest.mark.parametrize("paused", [True, False])
def test_a_step_jumps_ahead_by_exactly_that_much(wall: Wall, paused: bool) -> None:
    clock = Clock(start=0, wall=wall)
    if paused:
        clock.pause()
    clock.step(MINUTE)
    assert clock.now() == MINUTE


def test_a_new_speed_of_a_paused_clock_waits_for_its_resumption(wall: Wall) -> None:
    clock = Clock(start=0, wall=wall)
    clock.pause()
    clock.set_speed(60)
    wall.winds(1)
    assert clock.now() == 0
    clock.resume()
    wall.winds(1)
    assert clock.now() == MINUTE


def test_a_wall_clock_that_is_set_back_neither_turns_the_time_nor_stops_it(wall: Wall) -> None:
    clock = Clock(start=0, wall=wall)
    wall.winds(10)
    assert clock.now() == 10 * SECOND
    wall.winds(-3600)
    assert clock.now() == 10 * SECOND
    wall.winds(5)
    assert clock.now() == 15 * SECOND


def test_skew_is_told_and_does_not_rule(wall: Wall) -> None:
    clock = Clock(start=NOON, wall=wall)
    clock.skew = -7 * SECOND
    assert clock.server_time() == NOON - 7 * SECOND
    assert clock.now() == NOON


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf"), 86_401, 1e308])
def test_a_speed_must_be_a_number_above_zero_that_a_machine_can_keep_up_with(wall: Wall, speed: float) -> None:
    with pytest.raises(BadInput, match="speed"):
        Clock(speed, wall=wall)
    clock = Clock(start=0, wall=wall)
    with pytest.raises(BadInput, match="speed"):
        clock.set_speed(speed)
    assert clock.speed == 1


def test_time_stands_still_before_the_nanoseconds_of_64_bits_end(wall: Wall) -> None:
    clock = Clock(86_400, start=LATEST - SECOND, wall=wall)
    wall.winds(1)
    assert clock.now() == LATEST < 2**63
    clock.step(SECOND)
    assert clock.now() == LATEST


def test_a_step_back_is_refused(wall: Wall) -> None:
    clock = Clock(start=0, wall=wall)
    with pytest.raises(BadInput, match="step back"):
        clock.step(-1)
    assert clock.now() == 0


def test_a_restored_clock_goes_on_as_if_it_had_never_stopped(wall: Wall) -> None:
    clock = Clock(60, start=0, wall=wall)
    clock.skew = 5
    wall.winds(1)
    state = json.loads(json.dumps(clock.snapshot()))
    wall.winds(10)
    later = Clock(start=99, wall=wall)
    later.restore(state)
    assert (later.now(), later.server_time()) == (11 * MINUTE, 11 * MINUTE + 5)
    assert later.now() == clock.now()
    wall.winds(1)
    assert later.now() == clock.now()


def test_a_clock_that_was_paused_is_still_paused_when_restored(wall: Wall) -> None:
    clock = Clock(60, start=0, wall=wall)
    clock.pause()
    state = clock.snapshot()
    wall.winds(10)
    later = Clock(wall=wall)
    later.restore(state)
    assert later.paused
    assert later.now() == 0


def test_a_wall_clock_behind_the_snapshot_does_not_turn_the_time(wall: Wall) -> None:
    clock = Clock(start=0, wall=wall)
    wall.winds(10)
    state = clock.snapshot()
    wall.winds(-3600)
    later = Clock(wall=wall)
    later.restore(state)
    assert later.now() == 10 * SECOND
    wall.winds(1)
    assert later.now() == 11 * SECOND


CHANGES = st.one_of(
    st.tuples(st.just("winds"), st.floats(-100, 1000)),
    st.tuples(st.just("speed"), st.floats(0.001, 10_000)),
    st.tuples(st.just("step"), st.integers(0, MINUTE)),
    st.tuples(st.sampled_from(["pause", "resume", "restart"]), st.just(0)),
)


@given(st.lists(CHANGES, max_size=30))
def test_whatever_is_done_time_never_goes_backwards_and_only_steps_jump(changes: list[tuple[str, float]]) -> None:
    wall = Wall()
    clock = Clock(start=0, wall=wall)
    seen = [clock.now()]
    for change, amount in changes:
        before = clock.now()
        match change:
            case "winds":
                wall.winds(amount)
            case "speed":
                clock.set_speed(amount)
            case "step":
                clock.step(int(amount))
            case "restart":
                state, clock = clock.snapshot(), Clock(wall=wall)
                clock.restore(state)
            case _:
                getattr(clock, change)()
        seen.append(clock.now())
        if change != "winds":
            assert clock.now() - before == (amount if change == "step" else 0)
    assert all(earlier <= later for earlier, later in pairwise(seen))


def test_it_is_the_wall_clock_only_while_it_shows_its_time_and_runs_as_fast() -> None:
    wall = [1_768_480_200 * SECOND]
    clock = Clock(wall=lambda: wall[0])
    assert clock.is_wall
    clock.skew = 10**12
    assert clock.is_wall
    clock.pause()
    assert not clock.is_wall
    clock.resume()
    clock.set_speed(2)
    assert not clock.is_wall
    clock.set_speed(1)
    assert clock.is_wall
    clock.step(10**9)
    assert not clock.is_wall
    assert not Clock(start=0, wall=lambda: wall[0]).is_wall
