"""Start, Stop, Continue and Song Position, as a DAW sends them: where the song is, by the engine.

The engine says where it is by the bar in which it answers a pad.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.midi.daw import Daw, note_on
from tests.e2e.midi.stage import BEATS, BPM, CONTROL, PAD, Stage
from tests.support.jack import Server

pytestmark = pytest.mark.slow

NEAR_SECONDS = 0.02


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, jack: Server) -> Iterator[Stage]:
    config = "[parameters]\nbars = 1\n"
    stage = Stage(tmp_path_factory.mktemp("transport"), jack, name="transport", config=config)
    stage.roll(BEATS)
    stage.musician.sent()
    stage.musician.send(stage.keys, b"\xfc")
    yield stage
    stage.close()


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    yield running
    running.musician.forget()
    running.musician.send(running.keys, b"\xfc")
    running.musician.until_silent()
    running.musician.check_pairs()
    running.musician.heard.clear()


def bar_of_answer(stage: Stage, lay_out: Callable[[Daw], float]) -> int:
    """The bar in which a pad is answered that is pressed 0.7 beats before what ``lay_out`` returns,
    the moment of a bar line; the answer must come then."""
    takes = set(stage.engine.sessions.glob("*/take-*.json"))
    daw = Daw(time.monotonic() + 0.1, BPM)
    daw.wait(1.0)
    line = lay_out(daw)
    daw.add(line - 0.7 * 60.0 / BPM, note_on(CONTROL, PAD["continue"]))
    stage.musician.play(stage.keys, daw.events)
    first = stage.musician.next_on(line - 0.6 * 60.0 / BPM)
    stage.musician.sent()
    stage.client.rest()
    (file,) = set(stage.engine.sessions.glob("*/take-*.json")) - takes
    about = json.loads(file.read_text(encoding="utf-8"))
    onset = min(tick for bar, tick, *_ in about["notes"] if bar == about["bar"])
    assert abs(first.at - line - onset / 960 * 60.0 / BPM) < NEAR_SECONDS
    return int(about["bar"])


def test_start_begins_at_the_begin(stage: Stage) -> None:
    def lay_out(daw: Daw) -> float:
        daw.locate(40.0)  # Start does not care
        run = daw.start()
        daw.play(BEATS + 1.0)
        daw.stop()
        return run.seconds(BEATS)

    assert bar_of_answer(stage, lay_out) == 1


def test_continue_goes_on_where_it_stopped(stage: Stage) -> None:
    def lay_out(daw: Daw) -> float:
        daw.start()
        daw.play(3 * BEATS + 1.5)
        daw.stop()
        daw.wait(2.0)
        run = daw.go_on()
        daw.play(BEATS)
        daw.stop()
        return run.seconds(4 * BEATS)

    assert bar_of_answer(stage, lay_out) == 4


def test_song_position_says_where_continue_goes_on(stage: Stage) -> None:
    def lay_out(daw: Daw) -> float:
        daw.locate(20 * BEATS + 2.25)
        run = daw.go_on()
        daw.play(BEATS)
        daw.stop()
        return run.seconds(21 * BEATS)

    assert bar_of_answer(stage, lay_out) == 21


def test_the_last_song_position_is_the_one(stage: Stage) -> None:
    def lay_out(daw: Daw) -> float:
        for beat in (400.0, 8.0, 30 * BEATS + 2.0):
            daw.locate(beat)
            daw.wait(0.25)
        run = daw.go_on()
        daw.play(BEATS)
        daw.stop()
        return run.seconds(31 * BEATS)

    assert bar_of_answer(stage, lay_out) == 31


def test_stop_ends_what_sounds(stage: Stage) -> None:
    stage.play_on(bars=1)
    stage.musician.forget()
    at = stage.musician.send(stage.keys, b"\xfc")
    assert stage.musician.end_of_what_sounded(at) - at < 0.05
    stage.musician.listen(0.5)
    assert not stage.musician.ons(at + 0.05)


def test_a_song_that_goes_elsewhere_while_it_plays_leaves_no_note_behind(stage: Stage) -> None:
    # Live sends Song Position and Continue without a Stop when one clicks into the arrangement.
    stage.play_on(BEATS + 2.0, bars=1)
    at = stage.musician.send(stage.keys, b"\xf2\x00\x04", b"\xfb")
    assert stage.musician.end_of_what_sounded(at) - at < 0.05
