"""Stamps never run back, and a clock years off neither wins nor poisons nor is locked out."""

from hypothesis import given
from hypothesis import strategies as st

from regulars_sync.clock import (
    DRIFT_MS_MAX,
    STAMPS_PER_MS,
    STEPS_MAX,
    fix,
    instant_of,
    is_impossible,
    ms_of,
    next_stamp,
)

MS = st.integers(-(2**53), 2**53)
SERVER_MS = st.integers(1_600_000_000_000, 2_000_000_000_000)
STAMP = st.integers(0, 2_000_000_000_000_000)
YEAR_MS = 365 * 86_400_000


@given(MS, MS, SERVER_MS, STAMP, STAMP)
def test_a_stamp_is_above_all_that_was_known_and_all_that_was_fixed(stated, offset, server_now, known, last):
    stamp = fix(stated, offset, server_now, known, last)
    assert stamp > known
    assert stamp > last


@given(MS, MS, SERVER_MS, STAMP, STAMP)
def test_a_stamp_is_never_above_the_server_by_the_devices_word_alone(stated, offset, server_now, known, last):
    stamp = fix(stated, offset, server_now, known, last)
    assert stamp <= max(server_now * STAMPS_PER_MS, known + 1, last + 1)


@given(st.lists(st.tuples(MS, MS, STAMP), min_size=1), SERVER_MS)
def test_stamps_of_one_replica_never_run_back_whatever_its_clock_says(written, server_now):
    last, fixed = 0, []
    for stated, offset, known in written:
        last = fix(stated, offset, server_now, known, last)
        fixed.append(last)
    assert fixed == sorted(set(fixed))


@given(SERVER_MS, st.integers(0, 60_000), st.integers(-50 * YEAR_MS, 50 * YEAR_MS))
def test_a_clock_years_off_is_corrected_to_the_time_of_writing(server_now, ago, error):
    true_ms = server_now - ago
    assert fix(true_ms + error, -error, server_now, 0, 0) == true_ms * STAMPS_PER_MS


def test_wall_time_counts_in_microseconds():
    assert fix(1_000, 500, 9_000, 0, 0) == 1_500_000
    assert fix(9_500, 0, 9_000, 0, 0) == 9_000_000
    assert fix(1_000, 0, 9_000, 7, 1_000_000) == 1_000_001
    assert fix(1_000, 0, 9_000, 2_000_000, 7) == 2_000_001
    assert next_stamp(9, 8_000) == 9_000
    assert next_stamp(9, 9_000) == 9_001


@given(SERVER_MS, STAMP, st.lists(st.integers(-DRIFT_MS_MAX, DRIFT_MS_MAX)))
def test_the_servers_own_stamps_rise_while_its_clock_stumbles(now, last, steps):
    for step in steps:
        stamp = next_stamp(now + step, last)
        assert stamp > last
        assert stamp >= (now + step) * STAMPS_PER_MS
        last = stamp


@given(MS, MS, SERVER_MS, STAMP, st.integers(0, 1_000))
def test_an_honest_device_is_never_locked_out(stated, offset, server_now, highest, pending):
    last = 0
    for _ in range(min(pending, 20)):
        last = fix(stated, offset, server_now, highest, last)
        assert not is_impossible(last, server_now, highest)


@given(SERVER_MS, STAMP)
def test_a_stamp_far_beyond_everything_known_is_impossible(server_now, highest):
    limit = max((server_now + DRIFT_MS_MAX) * STAMPS_PER_MS, highest + STEPS_MAX)
    assert not is_impossible(limit, server_now, highest)
    assert is_impossible(limit + 1, server_now, highest)
    assert is_impossible(-1, server_now, highest)
    assert not is_impossible(0, server_now, highest)
    assert not is_impossible(next_stamp(server_now, highest), server_now, highest)


@given(SERVER_MS)
def test_an_instant_is_spelled_in_utc_and_read_back_to_the_millisecond(ms):
    instant = instant_of(ms)
    assert (len(instant), instant[-1]) == (len("2026-11-22T10:00:00.000Z"), "Z")
    assert ms_of(instant) == ms
