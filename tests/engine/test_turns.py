"""Punch-in and call and response, by ticks moved by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.music import TICKS_PER_BEAT, Meter, MeterMap
from engine.turns import LEAD, Mode, TakeOver, Turns

BEAT = TICKS_PER_BEAT
BAR = 4 * BEAT
FOUR = MeterMap()
WALTZ = MeterMap([(0, Meter(3, 4))])


def at(bar: int, beat: float = 0) -> int:
    return bar * BAR + round(beat * BEAT)


def play(turns: Turns, start: int, end: int, track: int = 1, pitch: int = 60) -> bool:
    """One note, whole; whether it quieted the player."""
    quiet = turns.down(track, pitch, start)
    turns.up(track, pitch, end)
    return quiet


def test_by_hand_nothing_happens_by_itself() -> None:
    turns = Turns()
    assert not play(turns, 0, BEAT)
    turns.asked(1, BAR)
    assert turns.next_tick(FOUR) is None
    assert turns.check(100 * BAR, FOUR) == []


# Punch-in


def test_playing_quiets_the_player_once_and_a_pause_hands_over() -> None:
    turns = Turns(Mode.PUNCH_IN, pause_beats=2)
    assert play(turns, at(0), at(0, 1))
    assert not play(turns, at(0, 1), at(0, 1.5)), "it is silent already"
    assert turns.next_tick(FOUR) == at(0, 3.5)
    assert turns.check(at(0, 3.5) - 1, FOUR) == []
    assert turns.check(at(0, 3.5), FOUR) == [TakeOver(1)]
    assert turns.next_tick(FOUR) is None
    assert turns.check(at(9), FOUR) == [], "it hands over once"


def test_the_next_note_over_the_player_quiets_it_again() -> None:
    turns = Turns(Mode.PUNCH_IN)
    play(turns, at(0), at(0, 1))
    turns.check(at(0, 3), FOUR)
    assert play(turns, at(3, 1), at(3, 2))
    assert turns.check(at(4), FOUR) == [TakeOver(1)]


def test_a_held_note_is_no_pause() -> None:
    turns = Turns(Mode.PUNCH_IN)
    turns.down(1, 60, 0)
    turns.down(1, 64, 0)
    turns.up(1, 60, BEAT)
    assert turns.next_tick(FOUR) is None
    assert turns.check(at(50), FOUR) == []
    turns.up(1, 64, at(50))
    assert turns.next_tick(FOUR) == at(50, 2)


def test_the_same_key_twice_is_one_key() -> None:
    turns = Turns(Mode.PUNCH_IN)
    turns.down(1, 60, 0)
    turns.down(1, 60, BEAT)
    turns.up(1, 60, 2 * BEAT)
    turns.up(1, 60, 3 * BEAT)
    assert turns.next_tick(FOUR) == 4 * BEAT


def test_each_track_has_turns_of_its_own() -> None:
    turns = Turns(Mode.PUNCH_IN)
    assert play(turns, at(0), at(0, 1), track=1)
    assert play(turns, at(0), at(0, 3), track=2)
    assert turns.next_tick(FOUR) == at(0, 3)
    assert turns.check(at(0, 3), FOUR) == [TakeOver(1)]
    assert turns.check(at(1, 1), FOUR) == [TakeOver(2)]


def test_who_plays_on_before_the_bar_line_takes_the_turn_back() -> None:
    turns = Turns(Mode.PUNCH_IN)
    play(turns, at(0), at(0, 1))
    assert turns.check(at(0, 3), FOUR) == [TakeOver(1)]
    assert play(turns, at(0, 3.5), at(0, 3.75))
    assert turns.check(at(1, 1.75), FOUR) == [TakeOver(1)]


def test_what_is_played_up_to_a_take_that_was_asked_for_does_not_stop_it() -> None:
    turns = Turns(Mode.PUNCH_IN)
    play(turns, at(0), at(0, 1))
    turns.asked(1, at(1))
    assert not play(turns, at(0, 2), at(0, 3.9))
    assert turns.check(at(0, 3), FOUR) == [], "it was asked for already"
    assert turns.next_tick(FOUR) is None
    assert play(turns, at(1), at(1, 1)), "but from its first bar line on it does"


def test_the_answer_itself_may_be_reported_as_asked_for() -> None:
    turns = Turns(Mode.PUNCH_IN)
    play(turns, at(0), at(0, 1))
    assert turns.check(at(0, 3), FOUR) == [TakeOver(1)]
    turns.asked(1, at(1))
    assert turns.down(1, 60, at(0, 3.5)), "who plays on still had not finished"


def test_a_jump_of_the_song_keeps_the_pause() -> None:
    turns = Turns(Mode.PUNCH_IN, pause_beats=2)
    play(turns, at(8), at(8, 1))
    turns.moved(at(8, 2), at(0, 2))
    assert turns.next_tick(FOUR) == at(0, 3)


# Call and response


@pytest.mark.parametrize(
    ("start", "end", "bars"),
    [
        (at(2), at(2, 0.5), 1),
        (at(2), at(2, 3), 1),
        (at(2), at(3), 1),
        (at(2), at(3, 0.2), 1),
        (at(2), at(3, 1), 2),
        (at(2, -0.2), at(2, 3.5), 1),
        (at(2, 1), at(4, 0.5), 2),
        (at(2, 2), at(5), 3),
        (at(2), at(9), 4),
    ],
)
def test_an_answer_is_as_long_as_the_phrase(start: int, end: int, bars: int) -> None:
    turns = Turns(Mode.CALL, pause_beats=2, most_bars=4)
    assert play(turns, start, end)
    when = turns.next_tick(FOUR)
    assert when is not None
    assert turns.check(when - 1, FOUR) == []
    assert turns.check(when, FOUR) == [TakeOver(1, bars)]


def test_the_answer_comes_at_the_bar_line_where_half_the_pause_is_over() -> None:
    turns = Turns(Mode.CALL, pause_beats=2)
    play(turns, at(0), at(0, 3))
    assert turns.next_tick(FOUR) == at(1) - LEAD
    play(turns, at(0, 3), at(0, 3.5))
    assert turns.next_tick(FOUR) == at(1, 1.5), "half a beat is a breath"


def test_lengths_are_counted_in_the_meter_of_the_phrase() -> None:
    turns = Turns(Mode.CALL)
    play(turns, 0, 4 * BEAT)
    assert turns.check(9 * BEAT, WALTZ) == [TakeOver(1, 2)]


def test_a_phrase_that_goes_on_before_the_answer_is_one_phrase() -> None:
    turns = Turns(Mode.CALL, pause_beats=1)
    play(turns, at(0), at(0, 2))
    assert turns.check(at(0, 3), FOUR) == [TakeOver(1, 1)]
    assert play(turns, at(0, 3.5), at(1, 2)), "the answer is taken back"
    assert turns.check(at(1, 3), FOUR) == [TakeOver(1, 2)]


def test_playing_into_the_answer_is_a_new_phrase() -> None:
    turns = Turns(Mode.CALL)
    play(turns, at(0), at(1, 2))
    assert turns.check(at(2) - LEAD, FOUR) == [TakeOver(1, 2)]
    assert play(turns, at(2, 1), at(2, 2))
    assert turns.check(at(3), FOUR) == [TakeOver(1, 1)]


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 5), st.integers(0, 3 * BEAT), st.booleans()),
        max_size=60,
    ),
    st.sampled_from([Mode.PUNCH_IN, Mode.CALL]),
    st.sampled_from([FOUR, WALTZ, MeterMap([(0, Meter(7, 8)), (2, Meter(5, 4))])]),
    st.floats(0.1, 8),
)
def test_a_hand_over_needs_silence_and_comes_once(
    steps: list[tuple[int, int, int, bool]], mode: Mode, meters: MeterMap, pause: float
) -> None:
    turns = Turns(mode, pause, most_bars=8)
    tick = 0
    held: dict[int, set[int]] = {}
    rests: dict[int, int] = {}
    theirs: set[int] = set()
    for track, pitch, wait, goes_down in steps:
        tick += wait
        due = turns.next_tick(meters)
        over = turns.check(tick, meters)
        assert bool(over) == (due is not None and due <= tick)
        for take in over:
            assert take.track in theirs
            assert not held[take.track]
            quiet = tick - rests[take.track]
            assert quiet >= round(pause * BEAT) or mode is Mode.CALL
            assert (take.bars is None) == (mode is Mode.PUNCH_IN)
            assert take.bars is None or 1 <= take.bars <= 8
            theirs.discard(take.track)
        keys = held.setdefault(track, set())
        if goes_down:
            keys.add(pitch)
            assert turns.down(track, pitch, tick) == (track not in theirs)
            theirs.add(track)
        else:
            if pitch in keys:
                rests[track] = tick
            keys.discard(pitch)
            turns.up(track, pitch, tick)
