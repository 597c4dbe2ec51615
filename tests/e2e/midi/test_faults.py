"""What dies, and what comes in that is no music: every note still ends, and play goes on."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from engine.messages.keys import MOST_BARS
from tests.e2e.midi.daw import STOP
from tests.e2e.midi.musician import Event, Musician
from tests.e2e.midi.stage import BEATS, BPM, CONTROL, Stage
from tests.support.jack import Server

pytestmark = pytest.mark.slow

KILLS, FULL_KILLS = 20, 50
FLOOD_SECONDS, FULL_FLOOD_SECONDS = 15, 60
RATE = 10_000
"""Random messages a second."""

AT_ONCE = 10
"""Of these messages that go out together: what JACK carries in one period."""

LEAD_SECONDS, LEAD_SHARE = 0.5, 0.1
"""Before the first of them, and for each second of them."""

SYSEX = bytes([0xF0, 0x7D, 1, 2, 0xF7])
SILENT_SECONDS = 0.05

MALFORMED = [
    "90", "9040", "90ff7f", "9040ff", "ffffff", "404040", "00", "7f7f", "f0", "f04142", "f7",
    "f0f7", "f2", "f27f", "f2ffff", "f3", "f4", "f5", "fd", "f9", "80", "b0", "b07b", "c0", "c0ff",
    "e0", "e07f", "d0", "a0", "a060", "f1", "f6", "fe", "f0" + "55" * 400 + "f7",
]  # fmt: skip
"""Bytes that no device should send. RtMidi itself refuses longer ones that are no SysEx."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, jack: Server) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("faults"), jack, name="faults")
    yield stage
    stage.close()


@pytest.fixture
def own_stage(home: Path, jack: Server) -> Iterator[Stage]:
    """A stage that may be burnt down."""
    running = Stage(home, jack, name="own")
    yield running
    running.musician.__exit__()
    running.client.__exit__()
    running.engine.kill()


def until_sounding(musician: Musician) -> None:
    musician.until(lambda: bool(musician.sounding()), "a note that sounds")


def test_the_worker_dies_in_the_middle_of_phrases(stage: Stage, full: bool) -> None:
    kills = FULL_KILLS if full else KILLS
    stage.client.ask("/sideman/set", "bars", 32)
    run = stage.roll((1 + 3 * kills) * BEATS)
    for n in range(kills):
        line = run.seconds((1 + 3 * n) * BEATS)
        stage.pad("continue", line - 0.7 * 60.0 / BPM)
        stage.musician.next_on(line - 0.05)
        until_sounding(stage.musician)
        worker = stage.engine.worker()
        worker.kill()
        killed = time.monotonic()
        stage.musician.next_on(killed + 0.1)  # play goes on
        assert stage.engine.worker().pid != worker.pid
    stage.musician.send(stage.keys, bytes([STOP]))
    stage.musician.until_silent()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_engine_ends_while_notes_sound(own_stage: Stage, number: int) -> None:
    own_stage.play_on()
    until_sounding(own_stage.musician)
    player = own_stage.engine.player()
    at = time.monotonic()
    status = own_stage.engine.stop(number)
    assert status == (0 if number == signal.SIGTERM else -number)
    own_stage.musician.until_silent()
    own_stage.musician.listen(0.5)
    assert not own_stage.musician.ons(at + 0.5), "it plays on"
    own_stage.musician.check_pairs()
    psutil.wait_procs([player], timeout=5.0)
    assert not player.is_running() or player.status() == psutil.STATUS_ZOMBIE


def test_the_process_that_plays_is_killed(own_stage: Stage) -> None:
    """Nobody can end a note for it while it is gone: its successor does."""
    own_stage.play_on()
    until_sounding(own_stage.musician)
    player = own_stage.engine.player()
    player.kill()
    at = time.monotonic()
    own_stage.musician.end_of_what_sounded(at)
    own_stage.musician.next_on(at + 0.2)
    own_stage.rest()
    assert own_stage.engine.player().pid != player.pid


def test_bytes_that_are_no_midi(stage: Stage) -> None:
    player = stage.engine.player().pid
    stage.musician.send(stage.keys, *(bytes.fromhex(data) for data in MALFORMED))
    stage.musician.sent()
    stage.play_on(16.0)
    assert stage.engine.player().pid == player


NO_PADS = [status for status in range(0x80, 0xF0) if status & 0x0F != CONTROL - 1]
"""Channel messages, but none on the channel of the pads."""

LENGTHS = {0xC0: 2, 0xD0: 2, 0xF1: 2, 0xF3: 2} | dict.fromkeys(range(0xF4, 0x100), 1)
"""Of messages that have not three bytes."""


def flood(seconds: int, statuses: Sequence[int]) -> list[Event]:
    """Random messages, spread evenly, from soon on."""
    # As long as it takes to make them, and to tell the musician.
    begin = time.monotonic() + LEAD_SECONDS + seconds * LEAD_SHARE
    chance = random.Random(1)
    events = []
    for i in range(seconds * RATE):
        status = chance.choice(statuses)
        data = bytes([status, chance.randrange(0x80), chance.randrange(0x80)])
        data = data[: LENGTHS.get(status, LENGTHS.get(status & 0xF0, 3))]
        events.append((begin + i // AT_ONCE * AT_ONCE / RATE, SYSEX if status == 0xF0 else data))
    return events


def test_a_flood_of_random_messages(stage: Stage, full: bool) -> None:
    """Of every kind, so the song starts, stops and jumps all the time."""
    seconds = FULL_FLOOD_SECONDS if full else FLOOD_SECONDS
    stage.play_on()
    worker, player = stage.engine.worker().pid, stage.engine.player().pid
    stage.musician.forget()
    storm = flood(seconds, range(0x80, 0x100))
    begin = storm[0][0]
    stage.musician.play(stage.keys, storm)
    n = 0
    while time.monotonic() < begin + seconds:
        assert stage.client.ask("/sideman/ping", n).args[0] == n
        stage.musician.listen(0.1)
        n += 1
    stage.musician.sent()
    stage.rest()
    assert stage.client.status()["state"] == "ready"
    assert (stage.engine.worker().pid, stage.engine.player().pid) == (worker, player)
    stage.play_on(16.0)


def test_panic_silences_at_once_in_a_flood(home: Path, jack: Server, full: bool) -> None:
    """From a port beside the one that the song is led by; what sounds is a take."""
    seconds = FULL_FLOOD_SECONDS if full else FLOOD_SECONDS
    stage = Stage(home, jack, "--midi-in", "Noise", name="flood")
    try:
        stage.musician.open("Noise", "out")
        stage.engine.until_logged("Noise is open")
        # A bar a second: a take that lasts, and is soon made.
        stage.play_on((2.0 * seconds + 20.0) * BPM / 60.0, bars=min(MOST_BARS, 2 * seconds + 14))
        stage.client.rest()
        storm = flood(seconds, NO_PADS)
        stage.musician.play("Noise", storm)
        stage.musician.listen(storm[0][0] + 0.8 * seconds - time.monotonic())
        until_sounding(stage.musician)
        at = stage.client.send("/sideman/panic")
        assert stage.musician.end_of_what_sounded(at) - at <= SILENT_SECONDS
        stage.musician.listen(0.3)
        assert not stage.musician.ons(at + SILENT_SECONDS)
        stage.rest()
        stage.musician.check_pairs()
    finally:
        stage.close()
