"""Requests for the next bar in a row at 120 BPM, on four tracks in turn: how many come late.

    python bench/next_bar.py --requests 1000

The song runs in real time and the band plays on: each beat's notes are sent once they have
sounded, and in the middle of each beat the next track asks for what follows at the next bar line,
a quarter of a second before it at the closest. Late is a request that the engine says it is late
with, or one with a note in hand after that note's moment.
"""

from __future__ import annotations

import argparse
import time

from bench.tools import SPREAD, engine, spread, table, verdict
from bridge.measure import BAND, BPM, CONTEXT_BARS, Answer, Rehearsal

BEAT = 60 / BPM
BEATS = 4


class Performance:
    """The song in real time, from the bar that the rehearsal has come to."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        """The transport starts to roll."""
        self._rehearsal = rehearsal
        self._first = rehearsal.bar
        rehearsal.locate(self._first, 0.0)
        self._begun = time.perf_counter()

    def moment(self, bar: int, beat: float) -> float:
        """When a place in the song comes by, on ``time.perf_counter``.

        Counted from when the engine had confirmed the start, a little after it: so a note's
        moment is at most that little too late, which is less than a tenth of a millisecond.
        """
        return self._begun + ((bar - self._first) * BEATS + beat) * BEAT

    def wait(self, bar: int, beat: float) -> None:
        """Until a place in the song."""
        time.sleep(max(0.0, self.moment(bar, beat) - time.perf_counter()))

    def ask(self, number: int) -> tuple[float, Answer]:
        """Request ``number``: the band plays up to its beat, and half a beat later it is sent.

        Returns the least time in hand of its notes, and the answer.
        """
        bar, beat = divmod(number, BEATS)
        bar += self._first
        track = list(BAND)[(beat + bar) % len(BAND)]
        self.wait(bar, beat)
        heard = (beat - 1) % BEATS
        self._rehearsal.play(bar - (beat == 0), heard, heard + 1)
        self.wait(bar, beat + 0.5)
        answer = self._rehearsal.trigger("bars", 4, track=track)
        self._rehearsal.discard(answer)
        in_hand = [
            self.moment(note.bar, note.beat) - came
            for note, came in zip(answer.notes, answer.arrived, strict=True)
        ]
        return min(in_hand, default=float("inf")), answer


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=1000)
    a = parser.parse_args()
    answers: list[Answer] = []
    in_hand: list[float] = []
    with engine() as client:
        rehearsal = Rehearsal(client)
        rehearsal.play_context(CONTEXT_BARS)
        performance = Performance(rehearsal)
        for i in range(a.requests):
            least, answer = performance.ask(i)
            in_hand.append(least)
            answers.append(answer)
    said = sum(bool(answer.late) for answer in answers)
    heard = sum(least < 0 for least in in_hand)
    rows = [
        ["first note after the request", *spread([x.first_note for x in answers])],
        ["whole take after the request", *spread([x.done for x in answers])],
        ["least time in hand of a take's notes", *spread(in_hand)],
    ]
    notes = sum(len(answer.notes) for answer in answers)
    print(f"{a.requests} requests in a row at {BPM:g} BPM, {notes} notes, ms\n")
    print(table(["time", *SPREAD], rows) + "\n")
    print(f"- said to be late: {said}; with a note after its moment: {heard}")
    verdict(f"0 of {a.requests} late", not said and not heard)


if __name__ == "__main__":
    main()
