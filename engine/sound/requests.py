"""Requests for sound in time: accepted with an estimate, given to the worker, sent out in chunks.

One thread only, the conductor's. Time is a parameter everywhere. The store writes each chunk into
the take's file, and the client hears of it once it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from engine.audio.grid import Grid
from engine.brief import Place
from engine.delivery import TOO_LATE_TO_HEAR, Delivery
from engine.errors import Code, SidemanError
from engine.ledger import Book, Ledger
from engine.messages.commands import Ask
from engine.messages.replies import Accepted, ClipAudio, Late
from engine.ports import Chunk, Maker, Outbox, Store
from engine.request import Asked
from engine.session import Session, Track
from engine.sound.brief import SoundBrief, grid_of, new_take, wish_for
from engine.sound.speed import SoundSpeed
from engine.takes import Take
from engine.tape import Tape
from engine.timing import Clock, Target, first_bar_after
from engine.worker import wire

MARGIN = 0.020
"""Seconds that the first sound should lie in wait before its bar line."""

BYTES = 4
"""Of a sample on the worker's line."""


@dataclass(slots=True, kw_only=True)
class SoundRequest(Asked):
    """A request for sound. Its take is one; candidates are the worker's matter."""

    brief: SoundBrief
    place: Place
    wish: wire.SoundWish
    grid: Grid
    adapters: list[tuple[str, str, float]]
    sent: int = 0
    """Sample frames that the store was given."""
    again: int = 0
    """Sample frames that have come once more, where a take is being made again."""
    marks: dict[int, str] = field(default_factory=dict)
    """What named the take up to each of the frames at which a chunk ended."""
    chunks: int = 0
    first_sound_ms: float | None = None

    @property
    def take(self) -> Take:
        """What is being made."""
        return self.takes[0]

    @property
    def samples(self) -> int:
        """Sample frames of the whole take."""
        return self.grid.length(self.wish.bar, self.wish.bars)

    @property
    def seconds(self) -> float:
        """How long the take lasts."""
        return self.samples / self.wish.rate

    @property
    def awaited(self) -> float | None:
        """When its first sound has to be there; None where it is, or nothing waits for it."""
        return None if self.sent else self.due


class SoundRequests(Ledger[SoundRequest]):
    """All requests for sound that live, and what becomes of them."""

    def __init__(
        self,
        session: Session,
        clock: Clock,
        outbox: Outbox,
        store: Store,
        maker: Maker,
        delivery: Delivery,
        book: Book,
    ) -> None:
        super().__init__(session, clock, outbox, store, maker, delivery, book)
        self.speed = SoundSpeed()
        self.model_hash: Callable[[str], str] = lambda model: ""

    # In

    def accept(
        self,
        client: int,
        ask: Ask,
        brief: SoundBrief,
        place: Place,
        now: float,
        adapters: list[tuple[str, str, float]],
    ) -> None:
        """Take a request on: settle its bar, tell the client, and give it to the worker.

        ``adapters`` are those that count: (name, folder, strength).

        Raises :class:`SidemanError` and changes nothing where that can't be done.
        """
        self._book.check_room()
        wish = wish_for(brief, place, self._session, self._clock)
        seconds = grid_of(wish).length(wish.bar, wish.bars) / wish.rate
        due = self._due(place, now)
        wait = self._wait()
        ready = now + wait + self.speed.head_start(seconds)
        late: Late | None = None
        if due is not None and ready + MARGIN > due:
            late = Late(ask.req, (ready + MARGIN - due) * 1000.0, brief.late)
            former = place
            try:
                place = self._rescue(brief, place, ready + MARGIN, late)
            except SidemanError:
                self.delivery.missed += 1
                self._outbox.reply(client, late)
                raise
            lead = place.target.bar - former.target.bar
            if brief.late == "loop" and wish.past and self._maker.ready:
                place = replace(former, bars=lead + former.bars)
                wish = wish_for(brief, place, self._session, self._clock, lead)
            else:
                wish = wish_for(brief, place, self._session, self._clock)
            due = None if brief.late == "shorten" else self._due(place, now)
        accepted = Accepted(ask.req, max(0.0, wait * 1000.0), place.target.bar)
        request = SoundRequest(
            job=self._book.next_job(), client=client, ask=ask, brief=brief, place=place, wish=wish,
            grid=grid_of(wish), asked_at=now, due=due, accepted=accepted,
            adapters=adapters, takes=[new_take(self._book.next_take(), brief, place)],
        )  # fmt: skip
        self._enter(request)
        self.delivery.say(request, accepted)
        if late is not None:
            self.delivery.late(request, late)
        self._give(request)
        self._note_down(request)

    def _give(self, request: SoundRequest) -> None:
        request.given = self._maker.ready
        model, adapters = request.take.model, request.adapters
        self._maker.send(wire.MakeSound(request.job, model, request.wish, adapters, request.due))

    def _due(self, place: Place, now: float) -> float | None:
        """When its bar line is; None where it has gone by already, or the song stands still."""
        moment = self._clock.seconds(self._clock.meters.start(place.target.bar))
        return None if moment is None or moment < now else moment

    def _wait(self) -> float:
        """Seconds until the first sound would be made, as far as can be told beforehand."""
        ahead = sum(self.speed.pace * r.seconds for r in self._live.values() if not r.made)
        return self._maker.wait_seconds + ahead + self.speed.first

    # Late rules

    def _rescue(self, brief: SoundBrief, place: Place, ready: float, late: Late) -> Place:
        """Another place for a take that will be ready at ``ready`` seconds, by the request's rule.

        One that is shortened stays where it is: who plays it enters where the song then is. What
        leads there in a loop is the caller's matter. Raises ``too-late``.
        """
        target = place.target
        if brief.late == "shorten":
            end = self._clock.seconds(self._clock.meters.start(target.bar + place.bars))
            if end is None or ready < end:
                return place
        elif brief.late != "drop":
            bar = first_bar_after(self._clock, ready, target.bar)
            follows = place.source >= target.bar
            source = max(place.source, bar) if follows else place.source
            return replace(place, target=Target(bar), source=source)
        raise SidemanError(
            Code.TOO_LATE,
            f"bar {target.bar} would be missed by {late.ms:.0f} ms and the rule is {brief.late}: "
            "ask earlier, or with late move",
        )

    def _missed(self, request: SoundRequest, now: float) -> None:
        """The bar line has come and nothing is there: do what the rule says."""
        assert request.due is not None
        ready = max(now, request.due) + self._maker.wait_seconds + self.speed.first + MARGIN
        late = Late(request.req, max(0.0, (ready - request.due) * 1000.0), request.brief.late)
        self.delivery.late(request, late)
        try:
            place = self._rescue(request.brief, request.place, ready, late)
        except SidemanError as error:
            self._maker.send(wire.Cancel(request.job))
            self._fail(request, error)
            return
        if request.brief.late == "shorten":
            request.due = None
            return
        former, request.place = request.place, place
        request.take.bar = place.target.bar
        if self._meters(former) != self._meters(place):
            self._begin_anew(request)
        request.due = self._due(place, now)

    def _begin_anew(self, request: SoundRequest) -> None:
        """What is being made is not as long as the bars that it goes to now."""
        self._maker.send(wire.Cancel(request.job))
        del self._live[request.job]
        request.job = self._book.next_job()
        self._live[request.job] = request
        request.started = False
        request.wish = wish_for(
            request.brief, request.place, self._session, self._clock, request.wish.lead
        )
        request.grid = grid_of(request.wish)
        self._give(request)

    def transport_moved(self, now: float) -> None:
        """The transport was set: bar lines lie elsewhere now."""
        for request in self._live.values():
            request.due = self._due(request.place, now)

    # From the worker

    def started(self, message: wire.Started) -> None:
        """The worker begins."""
        request = self._live.get(message.job)
        if request is not None:
            request.started = True
            request.take.model_hash = self.model_hash(request.take.model)

    def sound(self, message: wire.Sound, now: float) -> None:
        """Sound was made: it goes into the take's file, and then the client is told."""
        request = self._live.get(message.job)
        if request is None:
            return
        frames = len(message.data) // (BYTES * message.channels)
        at = request.again
        request.again = end = at + frames
        if at < request.sent:
            if request.marks.get(end) != message.mark:
                self._give_up(request)
            return
        if not request.sent:
            self._begins(request, message.channels, now)
        request.sent = end
        request.marks[end] = message.mark
        self._check_late(request, at, now)
        chunk = Chunk(at, request.samples, request.wish.rate, message.channels, message.data)
        self._store.sound(request.take, chunk, lambda error: self._stored(request, at, end, error))

    def _give_up(self, request: SoundRequest) -> None:
        """A take that was begun would go on as another one."""
        self._maker.send(wire.Cancel(request.job))
        text = "the worker process died in the middle of a take; ask once more"
        self._fail(request, SidemanError(Code.WORKER_DIED, text))

    def _begins(self, request: SoundRequest, channels: int, now: float) -> None:
        take, wish = request.take, request.wish
        first = request.grid.line(wish.bar)
        lines = [
            request.grid.line(bar) - first for bar in range(wish.bar, wish.bar + wish.bars + 1)
        ]
        path = self._store.path(take)
        take.tape = Tape(path, wish.rate, channels, take.bar, tuple(lines))
        request.first_sound_ms = (now - request.asked_at) * 1000.0
        self.speed.began(now - request.asked_at)
        self.delivery.announce(request)

    def _stored(self, request: SoundRequest, at: int, end: int, error: str | None) -> None:
        """A chunk is in the file: now it can be played."""
        if request.job not in self._live:
            return
        if error is not None:
            self._maker.send(wire.Cancel(request.job))
            self._fail(request, SidemanError(Code.BAD_FILE, f"the take cannot be kept: {error}"))
            return
        tape = request.take.tape
        assert tape is not None
        request.chunks += 1
        reply = ClipAudio(
            request.req, request.take.number, self._bar(request, at), tape.path, tape.rate, end
        )
        self.delivery.say(request, reply)

    def _bar(self, request: SoundRequest, sample: int) -> int:
        """The song's bar in which a sample of the take lies."""
        grid, wish = request.grid, request.wish
        return grid.bar_at(grid.line(wish.bar) + sample) - wish.bar + request.take.bar

    def _check_late(self, request: SoundRequest, at: int, now: float) -> None:
        """Sound whose moment has gone by: its bar was missed, and that is said once a bar."""
        start = self._clock.meters.start(request.take.bar)
        moment = self._clock.seconds(start + int(at / request.grid.tick_samples))
        bar = self._bar(request, at)
        if (
            moment is None
            or request.due is None
            or now - moment <= TOO_LATE_TO_HEAR
            or bar in request.late_bars
        ):
            return
        request.late_bars.add(bar)
        late = Late(request.req, (now - moment) * 1000.0, request.brief.late)
        self.delivery.late(request, late)

    def done(self, message: wire.SoundDone) -> None:
        """The whole take was made: its file is complete, then it is closed."""
        request = self._live.get(message.job)
        if request is None:
            return
        request.made = True
        take = request.take
        if take.tape is None or request.sent != request.samples:
            text = f"the worker made {request.sent} of {request.samples} samples; ask once more"
            self._fail(request, SidemanError(Code.WORKER_DIED, text))
            return
        if not request.remade:
            self.speed.made(message.seconds, request.seconds)
        take.context_hash = message.context_hash
        take.timing |= {
            "first_sound_ms": request.first_sound_ms,
            "asked": request.asked_at,
            "seconds": message.seconds,
            "frames": message.frames,
        }
        take.report = {
            **message.report,
            "prompt": request.wish.text,
        }
        take.closed = True
        self._store.save(
            take,
            self._clock.meters,
            self._clock.bpm,
            lambda error: self._saved(request, 0, error),
        )

    # Ends

    def _sent(self, request: SoundRequest, take: Take) -> int:
        return request.chunks

    def _was_cancelled(self, request: SoundRequest, now: float) -> None:
        """Nothing but the file has to be taken back, which `_forget` does."""

    def take_back(self, track: Track, now: float) -> bool:
        """Undo what is being made for a track and can be heard already; False where nothing is."""
        for request in reversed(list(self._live.values())):
            if request.take.track == track.number and request.opened:
                self.cancel(request.client, request.req, now)
                return True
        return False

    def _forget(self, request: SoundRequest) -> None:
        super()._forget(request)
        if request.sent and not request.take.closed:
            self._store.drop(request.take)

    def worker_died(self, now: float) -> None:
        """The worker is gone: what was not made again yet is going to be."""
        for request in list(self._live.values()):
            request.started = False
            if not request.made and request.remade:
                text = "the worker process died; it is being started again, ask once more"
                self._fail(request, SidemanError(Code.WORKER_DIED, text))

    def worker_ready(self, now: float) -> None:
        """A worker listens (again): give it what was asked and is not made.

        The same seed makes the same sound: of what was sent already nothing goes out again.
        """
        for request in self._live.values():
            if not request.made:
                request.remade += request.given
                request.again = 0
                self._give(request)
