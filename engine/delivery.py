"""What goes out of a request: its clips, their notes as they are made, and what of it is late.

One thread only, the conductor's. Time is a parameter everywhere.
"""

from __future__ import annotations

from dataclasses import replace

from engine.messages.replies import ClipNote, ClipOpen, Late, Reply
from engine.music import Note
from engine.playing import Playing
from engine.ports import Outbox
from engine.request import Asked, Request
from engine.session import Session
from engine.takes import Take
from engine.timing import Clock
from engine.worker import wire

TOO_LATE_TO_HEAR = 0.005
"""Seconds after its moment at which a note that has just been made counts as late."""


class Delivery:
    """Carries requests out, to who asked and to those who want to know."""

    def __init__(self, session: Session, clock: Clock, outbox: Outbox) -> None:
        self._session = session
        self._clock = clock
        self._outbox = outbox
        self.missed = 0
        """How often a bar line was missed."""
        self.playing = Playing(session, clock)

    def say(self, request: Asked, reply: Reply) -> None:
        """Send a reply about a request."""
        self._outbox.reply(request.client, reply)
        self._outbox.broadcast(reply, besides=request.client)

    def late(self, request: Asked, late: Late) -> None:
        """Say that a bar line was missed."""
        self.missed += 1
        self.say(request, late)

    def announce(self, request: Asked) -> bool:
        """Say where a request's takes are; once. Whether it was now."""
        if request.opened:
            return False
        request.opened = True
        for take in request.takes:
            name = self._session.track(take.track).name
            self.say(request, ClipOpen(request.req, take.number, name, take.bar, take.bars))
        return True

    def open(self, request: Request) -> None:
        """Announce takes that are going to be played by MIDI, where they are."""
        if self.announce(request):
            self.playing.enters(request.takes[0])

    def loop(self, request: Request) -> None:
        """Send what the loop plays until the next bar line at which the music may be there."""
        assert request.loop is not None
        self.open(request)
        channel = self._session.track(request.brief.track).output_channel
        for take in request.takes:
            for note in request.loop.notes:
                take.channels.setdefault(note.program, channel)
                self._out(request, take, note)
        self.playing.notes(request.takes[0], request.loop.notes)

    def notes(self, request: Request, made: wire.Made, now: float) -> bool:
        """Send those of the notes that were not sent yet.

        False, and nothing sent, where a take that is made again is another one.
        """
        fresh = _fresh(request, made)
        if fresh is None:
            return False
        if not fresh:
            return True
        self.open(request)
        take = request.takes[made.variation]
        first = request.first_bar()
        played = []
        for bar, tick, program, pitch, duration, velocity in fresh:
            note = Note(first + bar, tick, program, pitch, duration, velocity)
            heard = self._heard(request, take, note)
            if heard is not None:
                self._out(request, take, heard)
                played.append(heard)
                if request.first_note_ms is None:
                    request.first_note_ms = (now - request.asked_at) * 1000.0
                    self._outbox.flush()
                self._check_late(request, heard, now)
        if take.variation == 0:
            self.playing.notes(take, played)
        return True

    def _heard(self, request: Request, take: Take, note: Note) -> Note | None:
        """What is left of a note by the late rules: bars may be missing from either end."""
        if not request.from_tick and request.loop is None:
            return note
        meters = self._clock.meters
        onset = meters.absolute(note.onset)
        room = meters.start(take.end) - onset
        if onset < meters.start(request.first_bar()) + request.from_tick or room <= 0:
            return None
        return replace(note, duration=min(note.duration, room))

    def _out(self, request: Request, take: Take, note: Note) -> None:
        take.notes.append(note)
        if "osc" in request.brief.deliver:
            self.say(
                request,
                ClipNote(
                    request.req, take.number, note.bar, note.beat, note.duration_beats,
                    note.pitch, note.velocity, take.channel(note.program),
                ),
            )  # fmt: skip

    def _check_late(self, request: Request, note: Note, now: float) -> None:
        """A note whose moment has gone by: its bar line was missed, and that is said once a bar."""
        moment = self._clock.seconds(self._clock.meters.start(note.bar) + note.tick)
        if (
            moment is None
            or request.due is None
            or now - moment <= TOO_LATE_TO_HEAR
            or note.bar in request.late_bars
        ):
            return
        request.late_bars.add(note.bar)
        self.late(request, Late(request.req, (now - moment) * 1000.0, request.brief.late))


def _fresh(request: Request, made: wire.Made) -> list[wire.NoteRow] | None:
    """The notes that have not been sent yet; None where what was sent is said otherwise now."""
    sent = request.sent[made.variation]
    again = request.again[made.variation]
    known = sent[again : again + len(made.notes)]
    if known != made.notes[: len(known)]:
        return None
    request.again[made.variation] = again + len(made.notes)
    fresh = made.notes[len(known) :]
    sent += fresh
    return fresh
