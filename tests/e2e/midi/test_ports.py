"""Ports: our own, somebody else's, one that is pulled and put back, one that only triggers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client import Client
from tests.e2e.midi.daw import note_off, note_on
from tests.e2e.midi.musician import Musician
from tests.e2e.midi.stage import BEATS, CHANNEL, CONTROL, PAD, PHRASE, MidiEngine, Stage
from tests.support.jack import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, jack: Server) -> Iterator[Stage]:
    """A stage whose pads have a port of their own."""
    config = '[midi]\ncontrol = "Pads"\n'
    stage = Stage(tmp_path_factory.mktemp("ports"), jack, name="ports", config=config)
    stage.musician.open("Pads", "out")
    stage.engine.until_logged("Pads is open")
    yield stage
    stage.close()


@pytest.fixture
def stage(running: Stage) -> Iterator[Stage]:
    yield running
    running.rest()
    running.musician.heard.clear()


def played(engine: MidiEngine) -> list[int]:
    """Pitches that the engine takes for the musician's, in order."""
    bars: dict[int, list[int]] = {}
    for line in (engine.session / "journal.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "played":
            bars[event["bar"]] = [note[3] for note in event["notes"] or []]
    return [pitch for bar in sorted(bars) for pitch in bars[bar]]


def test_ports_of_our_own(home: Path, jack: Server) -> None:
    engine = MidiEngine(home, jack)
    try:
        with Musician(jack) as musician, Client(engine) as client:
            client.until("ready")
            musician.connect("Sideman In", "out", "to engine")
            musician.connect("Sideman Out", "in", "from engine")
            client.stand(0)
            musician.send("to engine", note_on(CHANNEL, 60), note_off(CHANNEL, 60))
            client.roll(0, 3.0, bpm=240.0)
            musician.send("to engine", note_on(CONTROL, PAD["continue"]))
            musician.next_on(0.0)
            client.stand(0)
            musician.until_silent()
            musician.check_pairs()
    finally:
        assert engine.stop() == 0


def test_a_pad_on_the_control_port(stage: Stage) -> None:
    run = stage.roll(16.0)
    press = run.seconds(BEATS - 0.7)
    stage.musician.play("Pads", [(press, note_on(CONTROL, PAD["continue"]))])
    stage.musician.next_on(press)


def test_an_output_that_is_pulled_and_put_back(stage: Stage) -> None:
    stage.play_on()
    since = len(stage.engine.log.read_text(encoding="utf-8"))
    stage.musician.until(lambda: bool(stage.musician.sounding()), "a note")
    stage.musician.close(stage.synth)
    pulled = time.monotonic()
    since = stage.engine.until_logged("vanished", since)
    stage.musician.open(stage.synth, "in")
    stage.engine.until_logged("is open", since)
    stage.musician.end_of_what_sounded(pulled)  # what sounded when it was pulled does not hang
    stage.musician.next_on(time.monotonic())


def test_an_input_that_is_pulled_and_put_back(stage: Stage) -> None:
    since = len(stage.engine.log.read_text(encoding="utf-8"))
    stage.musician.close(stage.keys)
    since = stage.engine.until_logged("vanished", since)
    stage.musician.open(stage.keys, "out")
    stage.engine.until_logged("is open", since)
    stage.play_on(16.0)


def test_a_key_that_was_down_when_its_port_was_pulled_is_no_endless_note(stage: Stage) -> None:
    stage.roll(24.0)
    stage.musician.send(stage.keys, note_on(CHANNEL, 72))
    since = len(stage.engine.log.read_text(encoding="utf-8"))
    stage.musician.forget()
    stage.musician.close(stage.keys)
    since = stage.engine.until_logged("vanished", since)
    stage.musician.open(stage.keys, "out")
    stage.engine.until_logged("is open", since)
    stage.play_on(16.0)


def test_what_we_hear_of_ourselves_is_not_the_musician(home: Path, jack: Server) -> None:
    stage = Stage(home, jack, name="loop")
    try:
        stage.musician.loop(stage.synth, to=stage.keys)
        run = stage.play_on(4 * BEATS, bars=2)
        stage.musician.sent()
        assert len(stage.musician.ons(run.begun)) > 1
        stage.musician.send(stage.keys, b"\xfc")
        stage.musician.until_silent()
    finally:
        stage.close()
    assert played(stage.engine) == [pitch for _, _, pitch in PHRASE]
