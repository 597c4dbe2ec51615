"""How far notes go out from their moment while the model plays on four tracks; others beside it.

    python bench/midi_jitter.py --notes 100000 --iipyper /path/to/python

A real ``sideman serve`` makes music for four tracks without a pause. Beside it, slice by slice in
turns, everybody plays the same song for four tracks through a port of the same MIDI system:
Sideman's own player process, told its notes by the line that the engine tells it by; mido's
``play()``; the loop that notochord sends by; and, for the machine's own part in it, a bare process
that sleeps until each deadline and does nothing. The error is the moment at which the call that
sends a note on has returned, less the note's moment. Of Sideman's worst notes it says what the loop
did before them, and whether the machine stood still: on each processor a witness looks at the
clock.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.senders import Ours, Peer, Sender, song, without_real_time
from bench.tools import SPREAD, engine, number, spread, table, verdict
from bench.witness import Stall, Witnesses, stood_still
from bridge.measure import BAND, Rehearsal, Spread
from bridge.midi.trace import Sent, Traced
from bridge.midi.wakes import MOST
from bridge.midi_systems import NAMES, systems
from bridge.osc.client import OscClient
from engine.errors import SidemanError
from tests.support.jack import Missing, jack_server

PERIOD = 256
"""Frames of JACK's dummy driver, where there is no other MIDI system."""

WORST = 10
"""Of Sideman's notes, of which it is said what happened."""

P50_MS, P99_MS, MOST_MS, TIMES_AHEAD = 0.3, 1.0, 5.0, 5.0
"""The targets."""


class Band:
    """Asks an engine to go on with all four tracks at once, again and again; a context."""

    def __init__(self, client: OscClient) -> None:
        self._client = client
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._play)
        self.notes = 0
        self.begun = 0.0

    def __enter__(self) -> Band:
        Rehearsal(self._client).play_context()
        self.begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _play(self) -> None:
        client, req = self._client, 10_000
        while not self._ends.is_set():
            asked = set()
            for track in BAND:
                req += 1
                client.send("/sideman/continue", req, track, "bars", 8, "seed", req)
                asked.add(req)
            takes = []
            while asked:
                message = client.receive(60.0)
                if message.address == "/sideman/clip/note":
                    self.notes += 1
                elif message.address == "/sideman/clip/open":
                    takes.append(message.args[1])
                elif message.address in ("/sideman/done", "/sideman/fail"):
                    asked.discard(int(message.args[0]))
            for take in takes:
                client.ask("/sideman/discard", take)


@contextmanager
def midi_system() -> Iterator[tuple[str, str, str]]:
    """A MIDI system where ports can be made: our name for it, RtMidi's, and what it is called.

    A JACK server of the bench's own where there is one to be had, so that nothing of the user's
    hears the noise; else the system's own; else none.
    """
    try:
        with jack_server(PERIOD) as server:
            os.environ |= server.environment
            yield "jack", "UNIX_JACK", "JACK's dummy driver"
            return
    except Missing:
        pass
    theirs = {ours: name for name, ours in NAMES.items()}
    try:
        there = [s.name for s in systems() if not s.problem and s.name != "winmm"]
    except SidemanError:
        there = []
    if there:
        yield there[0], theirs[there[0]], there[0]
    else:
        yield "jack", "", "no MIDI system: the calls are made, and lead nowhere"


def play_in_turns(wanted: dict[Sender, int], bars: int) -> None:
    """Slices in turns, so many notes of each; who is furthest behind comes next."""
    slices = dict.fromkeys(wanted, 0)
    while behind := [sender for sender in wanted if sender.notes < wanted[sender]]:
        sender = min(behind, key=lambda one: one.notes / wanted[one])
        sender.play(song(bars, seed=slices[sender]))
        slices[sender] += 1


class Case(NamedTuple):
    """What happened to one of the worst notes; seconds."""

    note: Sent
    looked: float
    """How long ports were looked for meanwhile, by another thread."""
    still: float
    """The longest time that a processor stood still meanwhile."""

    @property
    def error(self) -> float:
        """How late it went out."""
        return self.note.at - self.note.deadline


def cases(traced: Traced, stalls: list[Stall]) -> list[Case]:
    """All notes, the latest first."""
    found = []
    for note in traced.notes:
        # The loop wakes at most so long before a note.
        begun = note.deadline - MOST
        looked = sum(
            min(end, note.at) - max(begin, begun)
            for begin, end in traced.looks
            if begin < note.at and end > begun
        )
        found.append(Case(note, looked, stood_still(stalls, begun, note.at)))
    return sorted(found, key=lambda case: -case.error)


def worst(found: list[Case]) -> str:
    """A table of the worst notes, one of each moment."""
    heads = ["error, ms", "woken late", "of it without a processor", "read messages",
             "looked for ports", "the machine stood still"]  # fmt: skip
    rows: dict[float, list[str]] = {}
    for error, note, looked, still in ((case.error, *case) for case in found):
        spans = (error, note.woken, note.waited, note.obeyed, looked, still)
        rows.setdefault(round(note.at, 2), [number(1000.0 * span) for span in spans])
        if len(rows) == WORST:
            break
    return table(heads, list(rows.values()))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--notes", type=int, default=100_000, help="of Sideman's player")
    parser.add_argument("--peer-notes", type=int, default=20_000, help="of each of the others")
    parser.add_argument("--bars", type=int, default=12, help="of a slice")
    parser.add_argument(
        "--iipyper", metavar="PYTHON", default=os.environ.get("IIPYPER_PYTHON", sys.executable),
        help="a Python that has iipyper; without it, its loop is rebuilt",
    )  # fmt: skip
    a = parser.parse_args()
    if not Path(a.iipyper).exists():
        parser.error(f"there is no {a.iipyper}")
    with midi_system() as (api, theirs, about), engine() as client, Band(client) as band:
        witnesses = Witnesses()
        floor = Peer(sys.executable, "sleeper", theirs)
        ours = Ours("Sideman", api)
        peers = [
            Peer(sys.executable, "mido_play", theirs),
            Peer(a.iipyper, "iipyper_repeat", theirs),
        ]
        others: list[Sender] = [floor, *without_real_time(api), *peers]
        psutil.cpu_percent()
        play_in_turns({ours: a.notes} | dict.fromkeys(others, a.peer_notes), a.bars)
        busy = psutil.cpu_percent()
        made = band.notes / (time.monotonic() - band.begun)
        in_order: list[Sender] = [floor, ours, *others[1:]]
        errors = {sender: sender.errors() for sender in in_order}
        stalls = witnesses.stalls()
    every = cases(ours.traced, stalls)
    moving = max((case.error for case in every if not case.still), default=0.0)
    found = {sender: Spread.of(values, 1000.0) for sender, values in errors.items()}
    ratios = {sender: found[sender].p99 / found[ours].p99 for sender in found}
    lost = ours.notes - len(errors[ours])
    rows = [
        [sender.about, *spread(values), number(ratios[sender])] for sender, values in errors.items()
    ]
    print("Error of sent notes against their moment, ms; the model plays on four tracks\n")
    print(table(["who", *SPREAD, "p99 / ours"], rows) + "\n")
    print(f"- heard by: {about}")
    print(f"- meanwhile the model made {made:.0f} notes a second; processors busy: {busy:.0f}%")
    print(f"- Sideman's notes that were too late to be played: {lost}")
    longest = max((stall.ended - stall.begun for stall in stalls), default=0.0)
    print(
        f"- times that a processor stood still: {len(stalls)}, the longest {longest * 1000:.1f} ms"
    )
    print(f"- the latest of Sideman's notes while none did: {number(1000.0 * moving)} ms\n")
    print("The worst of Sideman's notes, and what the loop did before them, ms\n")
    print(worst(every) + "\n")
    verdict(f"p50 at most {P50_MS:g} ms", found[ours].p50 <= P50_MS)
    verdict(f"p99 at most {P99_MS:g} ms", found[ours].p99 <= P99_MS)
    verdict(f"max at most {MOST_MS:g} ms, none lost", found[ours].most <= MOST_MS and not lost)
    verdict(
        f"at p99 {TIMES_AHEAD:g} times ahead of each of the peers",
        min(ratios[peer] for peer in peers) >= TIMES_AHEAD,
    )


if __name__ == "__main__":
    main()
