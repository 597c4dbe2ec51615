"""What pads and controllers do, and that a message can be taught an action."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.client import Refused
from tests.e2e.midi.daw import note_off, note_on
from tests.e2e.midi.stage import CHANNEL, Stage
from tests.support.jack import Server

pytestmark = pytest.mark.slow

SILENT_SECONDS = 0.05
"""Within which panic must have ended every note."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, jack: Server) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("triggers"), jack, name="triggers")
    yield stage
    stage.close()


def until_sounding(stage: Stage) -> None:
    stage.musician.until(lambda: bool(stage.musician.sounding()), "a note that sounds")


def test_panic_by_osc_silences_at_once(stage: Stage) -> None:
    stage.play_on()
    until_sounding(stage)
    at = stage.client.send("/sideman/panic")
    assert stage.musician.end_of_what_sounded(at) - at <= SILENT_SECONDS
    stage.musician.listen(0.5)
    assert not stage.musician.ons(at + SILENT_SECONDS)


def test_panic_by_a_pad_silences_at_once(stage: Stage) -> None:
    stage.play_on()
    until_sounding(stage)
    at = time.monotonic()
    stage.pad("panic")
    assert stage.musician.end_of_what_sounded(at) - at <= SILENT_SECONDS
    stage.musician.listen(0.5)
    assert not stage.musician.ons(at + SILENT_SECONDS)


def undo(stage: Stage) -> None:
    """What sounds ends, and nothing more comes of it."""
    until_sounding(stage)
    at = time.monotonic()
    stage.pad("undo")
    stage.musician.end_of_what_sounded(at)
    stage.musician.listen(0.5)
    assert not stage.musician.ons(at + SILENT_SECONDS)


def test_undo_ends_what_sounds_and_redo_goes_on(stage: Stage) -> None:
    stage.play_on()
    stage.client.rest()
    undo(stage)
    at = time.monotonic()
    stage.pad("redo")
    stage.musician.next_on(at)


def test_undo_ends_a_take_that_is_still_being_made(stage: Stage) -> None:
    stage.play_on(bars=32)
    undo(stage)


def test_variation_plays_the_last_bars_otherwise(stage: Stage) -> None:
    run = stage.roll(32.0)
    stage.pad("variation", run.seconds(3.3))
    first = stage.musician.next_on(run.seconds(3.4))
    assert first.at >= run.seconds(4.0) - 0.02


def test_a_message_is_taught_an_action(stage: Stage) -> None:
    stage.client.ask("/sideman/set", "bars", 2)
    stage.client.ask("/sideman/learn", "continue")
    stage.musician.send(stage.keys, note_on(3, 99), note_off(3, 99))
    stage.client.sync()
    run = stage.roll(24.0)
    stage.musician.play(stage.keys, [(run.seconds(3.3), note_on(3, 99))])
    first = stage.musician.next_on(run.seconds(3.4))
    assert first.note[0] == CHANNEL  # the pad is no music: it is channel 1 that goes on


def test_what_cannot_be_learned_is_refused(stage: Stage) -> None:
    with pytest.raises(Refused) as refused:
        stage.client.ask("/sideman/learn", "dance")
    assert refused.value.code == "bad-arguments"


def test_a_controller_moves_a_parameter_over_its_range(stage: Stage) -> None:
    stage.client.ask("/sideman/learn", "temperature 0.6..1.4")
    stage.client.ask("/sideman/listen", "temperature", 1)
    stage.musician.send(stage.keys, bytes([0xB0, 20, 64]))  # is learned, and moves it
    for value, temperature in ((127, 1.4), (0, 0.6)):
        stage.musician.send(stage.keys, bytes([0xB0, 20, value]))
        told = stage.client.wait(
            lambda m, wanted=temperature: (
                m.address == "/sideman/value"
                and m.args[0] == "temperature"
                and abs(float(m.args[1]) - wanted) < 1e-3
            ),
            f"temperature {temperature}",
        )
        assert told.args[0] == "temperature"
    stage.client.ask("/sideman/listen", "temperature", 0)
    stage.client.ask("/sideman/set", "temperature", 1.0)
