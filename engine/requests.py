"""Requests in time: accepted with an estimate, given to the worker, saved, closed, answered.

One thread only, the conductor's. Time is a parameter everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.brief import Brief, Place, new_take, wish_for
from engine.delivery import Delivery
from engine.errors import Code, SidemanError
from engine.generate import plan_of
from engine.lateness import Loop, rescue
from engine.ledger import Book, Ledger
from engine.messages.commands import Ask
from engine.messages.replies import Accepted, Late
from engine.ports import Maker, Outbox, Store
from engine.request import Request
from engine.session import Session, Track
from engine.speed import Speed
from engine.takes import Take
from engine.timing import Clock
from engine.worker import wire

MARGIN = 0.015
"""Seconds that a first note should lie in wait before its bar line: a thread switch, a datagram."""

OURSELVES = 0
"""The client that pads and phrases ask as; those of the network are counted from 1."""


class Requests(Ledger[Request]):
    """All requests for notes that live, and what becomes of them."""

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
        self.speed = Speed()
        self.model_hash: Callable[[str], str] = lambda model: ""
        self.foreseen: Callable[[str, wire.Wish, int], list[wire.Made]] = lambda *_: []
        """What was made ahead of a model's wish, as a job's."""

    # In

    def accept(
        self, client: int, ask: Ask, brief: Brief, place: Place, now: float, *, amends: bool = False
    ) -> None:
        """Take a request on: settle its bar, tell the client, and give it to the worker.

        With ``amends`` its takes are part of what lies there, and undone with it.

        Raises :class:`SidemanError` and changes nothing where that can't be done.
        """
        self._book.check_room()
        if "midi" in brief.deliver and not self.delivery.playing.is_open:
            raise SidemanError(
                Code.NOT_ALLOWED, "no MIDI output is open: ask for deliver osc, or open a port"
            )
        wish = wish_for(brief, place, self._session)
        due = self._due(brief, place, now)
        model = brief.preset.model
        job = self._book.job + 1
        there = self.foreseen(model, wish, job)
        if not there:  # else somebody plays by it already
            plan_of(wish)
        wait = 0.0 if there else self._wait(due) + self.speed.backlog(now)
        ready = (
            now
            + wait
            + self.speed.head_start(place.bars, self._clock.bar_seconds(place.target.bar))
        )
        late: Late | None = None
        loop: Loop | None = None
        if due is not None and ready + MARGIN > due:
            late = Late(ask.req, (ready + MARGIN - due) * 1000.0, brief.late)
            try:
                place, loop = self._rescue(brief, place, ready + MARGIN, late)
            except SidemanError:
                self.delivery.missed += 1
                self._outbox.reply(client, late)
                raise
            wish = wish_for(brief, place, self._session)
            due = self._due(brief, place, now)
            there = self.foreseen(model, wish, job)
        entry = place.target.bar if loop is None else loop.source.stop
        accepted = Accepted(ask.req, max(0.0, wait * 1000.0), entry)
        request = Request(
            job=self._book.next_job(), client=client, ask=ask, brief=brief, place=place, wish=wish,
            asked_at=now, due=due, accepted=accepted, loop=loop,
        )  # fmt: skip
        sequences = brief.variations
        request.takes = [self._new_take(request, v) for v in range(sequences)]
        for take in request.takes:
            take.amends = amends
        request.sent = [[] for _ in range(sequences)]
        request.again = [0] * sequences
        self._enter(request)
        self.delivery.say(request, accepted)
        if late is not None:
            self.delivery.late(request, late)
        if loop is not None:
            self.delivery.loop(request)
        for made in there:
            self.notes(made, now)
        # The worker says them once more, with all that follows: see `_fresh`.
        request.again = [0] * sequences
        self._give(request)
        self._note_down(request)

    def _new_take(self, request: Request, variation: int) -> Take:
        take = new_take(self._book.next_take(), request.brief, request.place, variation)
        if request.loop is not None:
            take.bars += take.bar - request.loop.source.stop
            take.bar = request.loop.source.stop
        return take

    def _give(self, request: Request) -> None:
        request.given = self._maker.ready
        self._maker.send(
            wire.Make(request.job, request.brief.preset.model, request.wish, request.due)
        )

    def _due(self, brief: Brief, place: Place, now: float) -> float | None:
        """When the first bar line is that has to be met; None where none has to.

        What varies or accompanies bars that have sounded already waits for no bar line, and what
        fills a gap is of no use elsewhere.
        """
        if brief.verb == "infill" and brief.late in ("move", "loop"):
            return None
        target = place.target
        moment = self._clock.seconds(self._clock.meters.start(target.bar) + target.tick)
        if moment is None or (moment < now and brief.verb in ("infill", "accompany", "variation")):
            return None
        return moment

    def _wait(self, due: float | None) -> float:
        """Seconds until the first note would be made, as far as can be told beforehand.

        What is due earlier goes first.
        """
        ahead = sum(
            self.speed.take(r.place.bars)
            for r in self._live.values()
            if not r.made and (due is None or (r.due is not None and r.due <= due))
        )
        return self._maker.wait_seconds + ahead + self.speed.first_note()

    # Late rules

    def _rescue(
        self, brief: Brief, place: Place, ready: float, late: Late, loop: Loop | None = None
    ) -> tuple[Place, Loop | None]:
        return rescue(brief, place, ready, late.ms, self._clock, self._session, loop)

    def _missed(self, request: Request, now: float) -> None:
        """The bar line has come and nothing is there: do what the rule says."""
        assert request.due is not None
        ready = max(now, request.due) + self.speed.first_note() + MARGIN
        late = Late(request.req, max(0.0, (ready - request.due) * 1000.0), request.brief.late)
        self.delivery.late(request, late)
        former = request.place
        try:
            place, loop = self._rescue(request.brief, former, ready, late, request.loop)
            if request.loop is not None and place.target.bar >= request.takes[0].end:
                text = "its bars went by in the loop before its music was there; ask once more"
                raise SidemanError(Code.TOO_LATE, text)
        except SidemanError as error:
            self._maker.send(wire.Cancel(request.job))
            self._fail(request, error)
            return
        if place.bars < former.bars or place.target.tick:
            # Shortened: what is being made keeps its place, and its missed beginning falls away.
            entry = place.target
            start = self._clock.meters.start
            request.from_tick = start(entry.bar) + entry.tick - start(former.target.bar)
            self.delivery.open(request)
        else:
            moved = place.target.bar - former.target.bar
            request.place = place
            for take in request.takes:
                if loop is None:
                    take.bar += moved
                elif request.loop is None:
                    take.bars += moved
                # A loop that goes on takes bars from the music's end: their number was told.
            if loop is not None:
                request.loop = loop
                self.delivery.loop(request)
            if former.target.tick or self._meters(former) != self._meters(request.place):
                self._begin_anew(request)
                if request.job not in self._live:
                    return
        request.due = self._due(request.brief, request.place, now)

    def _begin_anew(self, request: Request) -> None:
        """What is being made does not fit the bars that it goes to now: make what does."""
        self._maker.send(wire.Cancel(request.job))
        del self._live[request.job]
        request.job = self._book.next_job()
        self._live[request.job] = request
        request.started = False
        try:
            request.wish = wish_for(request.brief, request.place, self._session)
            plan_of(request.wish)
        except SidemanError as error:
            self._fail(request, error)
        else:
            self._give(request)

    def transport_moved(self, now: float) -> None:
        """The transport was set: bar lines lie elsewhere now."""
        for request in self._live.values():
            request.due = self._due(request.brief, request.place, now)
            if request.due is not None and request.due < now:
                request.due = None
        self.delivery.playing.moved()

    # From the worker

    def started(self, message: wire.Started) -> None:
        """The worker has the context and begins."""
        request = self._live.get(message.job)
        if request is None:
            return
        request.started = True
        for take in request.takes:
            take.model_hash = self.model_hash(take.model)  # known only once it is loaded
            take.timing |= {"fed": message.fed, "speculated": message.speculated}

    def notes(self, message: wire.Made, now: float) -> None:
        """Notes were made: they go out at once."""
        request = self._live.get(message.job)
        if request is None:
            return
        if not self.delivery.notes(request, message, now):
            self._give_up(request)

    def _give_up(self, request: Request) -> None:
        """A take that was begun can't be gone on with."""
        self._maker.send(wire.Cancel(request.job))
        text = "the worker process died in the middle of a take; ask once more"
        self._fail(request, SidemanError(Code.WORKER_DIED, text))

    def finished(self, message: wire.Finished) -> None:
        """A variation is complete: its files are written, then it is closed."""
        request = self._live.get(message.job)
        if request is None or message.variation in request.complete:
            return
        if request.again[message.variation] < len(request.sent[message.variation]):
            self._give_up(request)
            return
        request.complete.add(message.variation)
        self.delivery.open(request)
        take = request.takes[message.variation]
        take.notes.sort()
        take.context_hash = message.context_hash
        take.timing |= {"first_note_ms": request.first_note_ms, "asked": request.asked_at}
        take.closed = True
        self._store.save(
            take,
            self._clock.meters,
            self._clock.bpm,
            lambda error: self._saved(request, message.variation, error),
        )

    def done(self, message: wire.JobDone) -> None:
        """The worker has said all that it has to say of a request."""
        request = self._live.get(message.job)
        if request is None:
            return
        request.made = True
        if request.remade == 0:
            sequences = request.wish.variations * request.wish.candidates
            self.speed.made(message.tokens, message.seconds, request.place.bars, sequences)
        self._end(request)

    # Ends

    def _sent(self, request: Request, take: Take) -> int:
        return len(take.notes)

    def _was_cancelled(self, request: Request, now: float) -> None:
        if request.opened:
            self.rearranged(self._session.track(request.brief.track), now)

    def take_back(self, track: Track, now: float) -> bool:
        """Undo what is being made for a track and is heard by MIDI already; False where nothing is.

        Who hears a take wants it gone, whether its last note is made or not.
        """
        for request in reversed(list(self._live.values())):
            if (
                request.brief.track == track.number
                and request.opened
                and "midi" in request.brief.deliver
            ):
                self.cancel(request.client, request.req, now)
                return True
        return False

    def silence(self) -> None:
        """Panic: nothing sounds, and nothing that is being made is going to."""
        for request in list(self._live.values()):
            if "midi" in request.brief.deliver:
                self._maker.send(wire.Cancel(request.job))
                self._fail(request, SidemanError(Code.CANCELLED, "panic ended it"))
        self.delivery.playing.silence()

    def withdraw(self, track: Track, now: float) -> None:
        """End what the engine itself asked for on a track: the musician plays on."""
        for request in list(self._live.values()):
            if request.client == OURSELVES and request.brief.track == track.number:
                self.cancel(OURSELVES, request.req, now)

    def rearranged(self, track: Track, now: float) -> None:
        """Other takes lie on a track than before: what is played by MIDI follows."""
        coming = [
            request.takes[0]
            for request in self._live.values()
            if request.opened and 0 not in request.saved and request.brief.track == track.number
        ]
        self.delivery.playing.rearranged(track, coming, now)

    def worker_died(self, now: float) -> None:
        """The worker is gone. What there is time for is made again, the rest fails."""
        for request in list(self._live.values()):
            request.started = False
            if request.made:
                continue
            if request.remade or not self._in_time(request, now):
                self._lose(request, now)

    def _lose(self, request: Request, now: float) -> None:
        text = "the worker process died; it is being started again, ask once more"
        if any(request.sent):
            text = f"the worker process died in the middle of the take; {text}"
        self._fail(request, SidemanError(Code.WORKER_DIED, text))
        if request.opened and request.takes[0].amends:  # what it was to replace is played after all
            self.rearranged(self._session.track(request.brief.track), now)

    def _in_time(self, request: Request, now: float) -> bool:
        """Whether a take can be made again before the song has played all that was sent of it.

        What is heard is the first variation. A loop goes on meanwhile.
        """
        sent = request.sent[0]
        if 0 in request.complete or (request.loop is not None and not sent):
            return True
        bars, line = 0, request.due
        if sent:
            bars = sent[-1][0] + 1
            line = self._clock.seconds(self._clock.meters.start(request.first_bar() + bars))
        if line is None or (request.due is None and line < now):
            return True
        making = self.speed.backlog(now) + self.speed.take(bars) + self.speed.first_note()
        return now + self._maker.wait_seconds + making < line

    def worker_ready(self, now: float) -> None:
        """A worker listens (again): give it what was asked and is not made.

        Of a take that was begun only those notes go out that were not sent; one that would go on
        too late is given up.
        """
        for request in list(self._live.values()):
            if request.made:
                continue
            if any(request.sent) and not self._in_time(request, now):
                self._lose(request, now)
                continue
            request.remade += request.given
            request.again = [0] * len(request.takes)
            self._give(request)
