"""What sounded on a track up to a bar line, out of the files that lie there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.music import MeterMap
from engine.past import Spot, lay_out_sound
from engine.tape import Tape, heard
from engine.worker.wire import Piece

RATE = 1000


def tape(path: str, bar: int, bars: int, lead: int = 0, length: int = 2000) -> Tape:
    return Tape(path, RATE, 2, bar, tuple(lead + length * i for i in range(bars + 1)))


def test_nothing_sounded() -> None:
    assert heard([], 4, 10.0).past == ()
    assert heard([tape("later", 4, 2)], 4, 10.0).past == ()


def test_the_last_bars_of_a_file() -> None:
    assert heard([tape("a", 0, 8)], 6, 4.0).past == (Piece("a", 8000, 4000),)


def test_what_ended_before_is_gone_on_from() -> None:
    found = heard([tape("a", 0, 2)], 40, 60.0)
    assert (found.past, found.end) == ((Piece("a", 0, 4000),), 2)


def test_later_tapes_cover_earlier_ones() -> None:
    tapes = [tape("under", 0, 8), tape("over", 2, 2), tape("beyond", 6, 4)]
    assert heard(tapes, 6, 60.0).past == (
        Piece("under", 0, 4000), Piece("over", 0, 4000), Piece("under", 8000, 4000),
    )  # fmt: skip


def test_a_gap_ends_it() -> None:
    assert heard([tape("a", 0, 2), tape("b", 3, 2)], 5, 60.0).past == (Piece("b", 0, 4000),)


def test_the_part_of_a_bar_before_the_first_line_is_heard() -> None:
    assert heard([tape("a", 1, 1, lead=700)], 2, 60.0).past == (
        Piece("a", 700, 2000), Piece("a", 0, 700),
    )[::-1]  # fmt: skip
    assert heard([tape("a", 2, 0, lead=700)], 2, 60.0).past == (Piece("a", 0, 700),)


def test_only_whole_bars_are_a_loop() -> None:
    assert heard([tape("a", 0, 4)], 4, 60.0).following == (Piece("a", 0, RATE),)
    assert heard([tape("a", 0, 4)], 3, 60.0).following == ()
    assert heard([tape("a", 0, 4, lead=500)], 4, 60.0).following == ()


def test_it_is_written_down_and_read_again() -> None:
    one = tape("a.wav", 3, 4, lead=10)
    assert Tape.of("a.wav", one.about()) == one


@given(
    st.integers(1, 400_000),
    st.floats(20, 400),
    st.integers(1, 30),
    st.sampled_from((8_000, 44_100, 48_000)),
)
def test_a_recording_ends_at_its_bar_line(frames: int, bpm: float, end: int, rate: int) -> None:
    past = lay_out_sound("a", rate, 1, frames, Spot(1, "1", None, MeterMap(), end, bpm))
    laid = past.tape
    assert laid is not None
    assert laid.end == end and laid.lines[-1] == frames and laid.lines[0] >= 0
    assert list(laid.lines) == sorted(set(laid.lines))
    bar = 4 * 60 / bpm * rate
    whole = [b - a for a, b in zip(laid.lines, laid.lines[1:], strict=False)]
    assert all(abs(length - bar) <= 1 for length in whole[1:])
    assert laid.lines[0] < bar + 1
    pieces = heard([laid], end, 1e9).past
    assert sum(piece.frames for piece in pieces) == frames
