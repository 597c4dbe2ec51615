"""What each command does: the one place where the session changes.

One thread only. Commands come in with the moment at which they take effect, the worker's messages
as they arrive, and :meth:`Conductor.tick` is called whenever :meth:`Conductor.next_moment` has
come. Nothing here waits, reads a file or computes music.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from engine import __version__, presets
from engine.asking import Asking
from engine.delivery import Delivery
from engine.errors import Code, SidemanError
from engine.foresight import Foresight
from engine.hands import Hands
from engine.initiative import Initiative
from engine.ledger import Book
from engine.messages import commands as c
from engine.messages.replies import (
    Done,
    Fail,
    Pong,
    Reply,
    StatusReply,
    Synced,
    Value,
    VersionReply,
)
from engine.messages.spec import Scalar
from engine.models import adapters
from engine.models import store as models
from engine.music import DRUMS, Meter, MeterMap, Note, Position, ticks
from engine.past import Past, Spot
from engine.ports import Loader, Outbox, Store
from engine.presets import Preset
from engine.requests import OURSELVES, Requests
from engine.session import Session, Track
from engine.settings import Settings, plain
from engine.shelf import Shelf
from engine.sound.desk import Desk
from engine.teller import TELL_AT_ONCE, Teller
from engine.timing import Clock, Course, next_bar
from engine.turns import Mode
from engine.worker import wire
from engine.worker.supervisor import Supervisor

log = logging.getLogger(__name__)

KEEP_EVERY = 1.0
"""Seconds after which what was played is written to the journal."""

HORIZON_BARS = 8

TOLD_BPM = 0.1
"""A tempo that is measured is never twice the same; a change below this is not told."""


class LedClock(Clock, Protocol):
    """A clock that the conductor may set."""

    def locate(
        self, now: float, *, playing: bool, bpm: float, position: Position, meter: Meter
    ) -> None:
        """The song is at ``position`` at ``now``."""

    def set_tempo(self, now: float, bpm: float) -> None:
        """It goes on from where it is, at another tempo."""

    def follow(self, course: Course) -> None:
        """It goes on as another clock says."""

    def set_meters(self, meters: MeterMap) -> None:
        """The bars of the song are these, as far as is known."""


class Conductor:
    """The engine's heart: session, requests, parameters. See the module for the rules."""

    def __init__(
        self,
        *,
        clock: LedClock,
        outbox: Outbox,
        store: Store,
        loader: Loader,
        preset: Preset,
        device: str = "cpu",
        load_preset: Callable[[str], Preset] = presets.load,
        find_model: Callable[[str], Path] = models.find,
        find_adapter: Callable[[str], Path] = adapters.find,
        random_seed: Callable[[], int] = lambda: random.randrange(2**31),
    ) -> None:
        self.session = Session()
        self.book = Book()
        self.clock = clock
        self.settings = Settings(outbox, store)
        self.shelf = Shelf(preset, device, load_preset, find_model, find_adapter)
        self._outbox = outbox
        self._store = store
        self._loader = loader
        self._hands = Hands(clock)
        self._asking = Asking(
            self.session, clock, self._hands, self.shelf, self.settings.values, random_seed
        )
        self.delivery = Delivery(self.session, clock, outbox)
        self.sound = Desk(
            self.session, clock, outbox, store, self.delivery, self.book, self.shelf.rack
        )
        self._foresight = Foresight()
        self._keep_at: float | None = None
        self._played: set[tuple[int, int]] = set()
        self._changed_tracks: set[int] = set()
        self._bar = 0
        self._told_bpm, self._told_playing = clock.bpm, clock.playing
        self._waiting: dict[int, list[tuple[c.Command, float]]] = {}
        """Commands of clients for whom a file is being read: they take effect after it."""

    def connect(self, worker: Supervisor, sound_worker: Supervisor) -> None:
        """The workers that make notes and sound; called once, before anything else."""
        self._worker = worker
        self.shelf.connect(worker)
        self.sound.connect(sound_worker)
        self.requests = Requests(
            self.session, self.clock, self._outbox, self._store, worker, self.delivery, self.book
        )
        self.requests.model_hash = self.shelf.hash_of
        self.requests.foreseen = self._foresight.made
        self._teller = Teller(self.session, worker, self.requests.speed)
        self.initiative = Initiative(
            self.session, self.clock, self._hands, self.shelf, self.requests,
            lambda ask, now, amends: self._take_on(ask, OURSELVES, now, amends=amends),
        )  # fmt: skip

    def start(self, now: float) -> None:
        """Load the preset's model."""
        self._take_turns()
        self.shelf.prepare(self.shelf.preset, now)

    # Commands

    def handle(self, command: c.Command, client: int, when: float) -> None:
        """Obey ``command``, which takes effect at ``when``. Raises what the client should know."""
        held_back = self._waiting.get(client)
        if held_back is not None and not isinstance(command, c.Ping | c.Cancel | c.Panic):
            held_back.append((command, when))
            return
        known = len(self.session.tracks)
        try:
            self._obey(command, client, when)
        except SidemanError:
            while len(self.session.tracks) > known:  # what is refused makes no track either
                self.session.tracks.popitem()
            raise

    def _obey(self, command: c.Command, client: int, when: float) -> None:
        match command:
            case c.TrackNote():
                self._note(command, when)
            case c.TrackOn():
                self._on(command, when)
            case c.TrackOff():
                self._off(command, when)
            case c.Transport():
                self._transport(command, when)
            case c.Ask():
                self._take_on(command, client, when)
            case c.Ping(n):
                self._outbox.reply(client, Pong(n, when))
            case c.Sync(n):
                self._outbox.reply(client, Synced(n))
            case c.Status():
                self._outbox.reply(client, self.status())
            case c.Version():
                major, minor, patch = (int(part) for part in __version__.split(".")[:3])
                self._outbox.reply(client, VersionReply("sideman", major, minor, patch))
            case c.Get(name) | c.Listen(name):
                self._outbox.reply(client, Value(name, self._value(name)))
            case c.Set(name, value):
                self._set(name, value, client, when)
            case c.TrackSet():
                self._track_set(command, client, when)
            case c.TrackLoad():
                self._track_load(command, client, when)
            case _:
                self._steer(command, client, when)

    def _steer(self, command: c.Command, client: int, when: float) -> None:
        values: tuple[Scalar, ...] = ()
        match command:
            case c.TrackClear(ref):
                track = self.session.track(ref)
                self.session.clear(track)
                self.requests.rearranged(track, when)
                self._store.write({"event": "clear", "track": track.number})
            case c.Cancel(req):
                self.requests.cancel(client, req, when)
                self.sound.requests.cancel(client, req, when)
                values = (req,)
            case c.Undo(ref) | c.Redo(ref):
                values = self._step_back(command, self.session.track(ref), when)
            case c.Keep(number) | c.Discard(number):
                values = self._judge(command, number, when)
            case c.Panic():
                self._panic(when)
            case c.Preset(name):
                self._choose_preset(name, when)
                values = (name,)
            case c.ModelLoad(name):
                self.shelf.ensure(name, when)
                values = (name,)
            case c.ModelUnload(name):
                self.shelf.unload(name)
                values = (name,)
            case c.Adapter():
                self._adapt(command, client, when)
                return
            case c.Learn():
                raise SidemanError(
                    Code.NOT_ALLOWED, "no MIDI input is open, so there is nothing to learn from"
                )
        self._teller.changed(when)
        address = command.address
        self._share(client, Done(address, values))

    def _adapt(self, command: c.Adapter, client: int, when: float) -> None:
        """An adapter for notes is there at once; one for sound once its worker has read it."""
        name, strength = command.name, command.strength
        done = Done(command.address, (name, strength))
        if self.shelf.is_for_sound(name):
            def then(error: SidemanError | None) -> None:
                if error is None:
                    self._share(client, done)
                else:
                    self._fail(client, error, 0, command.address)

            self.shelf.rack.adapt(name, strength, when, then)
            return
        self.shelf.adapt(name, strength, when)
        self._teller.changed(when)
        self._share(client, done)

    # What happens

    def _transport(self, command: c.Transport, when: float) -> None:
        # What the song has passed by now was missed, wherever it goes.
        self.requests.tick(when)
        self.sound.requests.tick(when)
        before = self._hands.at(when)
        meter = Meter(command.num, command.den)
        self.clock.locate(
            when,
            playing=command.playing,
            bpm=command.bpm,
            position=Position.of(command.bar, command.beat),
            meter=meter,
        )
        self._take_meters()
        self.initiative.moved(before, self.clock.tick(when))
        self._time_moved(when)
        self._teller.changed(when)

    def follow(self, course: Course, when: float, *, moved: bool = False) -> None:
        """A clock that leads the song says how it goes on, and whether it was ``moved``."""
        if moved:
            before = self._hands.at(when)
            self.requests.tick(when)
            self.clock.follow(course)
            self.initiative.moved(before, self.clock.tick(when))
        else:
            self.clock.follow(course)
        self._time_moved(when, TOLD_BPM)

    def _time_moved(self, when: float, least: float = 0.0) -> None:
        """The song's course has changed: what hangs on it follows, who listens is told.

        A tempo is told where it changed by more than ``least`` quarter notes a minute.
        """
        self.requests.transport_moved(when)
        self.sound.requests.transport_moved(when)
        bar, playing, bpm = self._here(when).bar, self.clock.playing, self.clock.bpm
        if abs(bpm - self._told_bpm) > least:
            self._told_bpm = bpm
            self._outbox.changed("tempo", bpm)
        if (bar, playing) != (self._bar, self._told_playing):
            if playing != self._told_playing:
                self._outbox.changed("playing", int(playing))
            self._bar, self._told_playing = bar, playing
            self._teller.changed(when)

    def _here(self, now: float) -> Position:
        return self.clock.meters.locate(self.clock.tick(now))

    def _note(self, command: c.TrackNote, when: float) -> None:
        track = self.session.track(command.track)
        note = Note(
            command.bar,
            ticks(command.beat),
            track.sound,
            command.pitch,
            max(1, ticks(command.duration)),
            command.velocity,
        )
        self.session.play(track, note)
        self._was_played(track, self.session.meters.normal(note.onset).bar, when)

    def _on(self, command: c.TrackOn, when: float) -> None:
        track = self.session.track(command.track)
        self._release(track, command.pitch, when)
        if command.velocity > 0:
            onset = self._hands.tick(when)
            self.session.press(track, command.pitch, command.velocity, onset)
            self.initiative.down(track, command.pitch, onset, when)

    def _off(self, command: c.TrackOff, when: float) -> None:
        self._release(self.session.track(command.track), command.pitch, when)

    def _release(self, track: Track, pitch: int, when: float) -> None:
        if pitch not in track.held:
            return
        self.initiative.up(track, pitch, when)
        note = self.session.release(track, pitch, self._hands.tick(when))
        if note is not None:
            self._was_played(track, note.bar, when)

    def _was_played(self, track: Track, bar: int, when: float) -> None:
        self._played.add((track.number, bar))
        self.initiative.played()
        self._keep_soon(when)
        self._teller.changed(when)

    def _keep_soon(self, when: float) -> None:
        if self._keep_at is None:
            self._keep_at = when + KEEP_EVERY

    def _track_set(self, command: c.TrackSet, client: int, when: float) -> None:
        track = self.session.track(command.track)
        key, value = command.key, command.value
        match key:
            case "program":
                self.session.set_program(track, value)
            case "drums":
                if value or track.program == DRUMS:
                    self.session.set_program(track, DRUMS if value else 0)
            case "preset":
                track.preset = self.shelf.named(value).name
            case "name":
                self.session.rename(track, value)
            case "channel" | "role":
                setattr(track, key, value)
        self._store.write(track_event(track))
        self._teller.changed(when)

    def sounds_as(self, track: Track, program: int, when: float) -> None:
        """What a track plays from now on is another instrument; its past stays what it was."""
        if track.program != program:
            track.program = program
            self._changed_tracks.add(track.number)
            self._keep_soon(when)

    def _track_load(self, command: c.TrackLoad, client: int, when: float) -> None:
        track = self.session.track(command.track)
        end = next_bar(self.clock.meters, self.clock.tick(when)).bar

        def spot() -> Spot:
            meters, bpm = self.session.meters, self.clock.bpm
            return Spot(track.number, track.name, track.program, meters, end, bpm)

        def then(past: Past | Exception) -> None:
            try:
                if isinstance(past, Exception):
                    raise past
                if past.spot != spot():  # the song's bars are others by now
                    self._loader.load(command.path, spot(), then)
                    return
                self._take_in(track, past, when)
                self._share(client, Done(command.address, (track.number, past.length)))
            except SidemanError as error:
                self._fail(client, error, 0, command.address)
            except Exception as error:
                log.exception("reading %s failed", command.path)
                failure = SidemanError(Code.BAD_FILE, f"{command.path}: {error}")
                self._fail(client, failure, 0, command.address)
            self._resume(client)

        self._waiting.setdefault(client, [])
        try:
            self._loader.load(command.path, spot(), then)
        except SidemanError:
            self._waiting.pop(client)
            raise

    def _take_in(self, track: Track, past: Past, when: float) -> None:
        """A file that was laid out becomes the track's past."""
        if past.tape is not None:
            self.session.record(track, past.tape)
            self._store.write({"event": "clear", "track": track.number})
            self._store.write(
                {"event": "recording", "track": track.number,
                 "file": Path(past.tape.path).name, **past.tape.about()}
            )  # fmt: skip
            return
        self.session.play_instead(track, past.bars)
        self._store.write({"event": "clear", "track": track.number})
        if track.program != past.program:
            track.program = past.program
            self._store.write(track_event(track))
        self._store.write_all(past.events)
        self._played = {at for at in self._played if at[0] != track.number}
        self._teller.changed(when)

    def _resume(self, client: int) -> None:
        """Obey what a client sent while its file was being read."""
        for command, when in self._waiting.pop(client, ()):
            try:
                self.handle(command, client, when)
            except SidemanError as error:
                req = command.req if isinstance(command, c.Ask) else 0
                self._fail(client, error, req, command.address)

    # Requests

    def _take_on(
        self, ask: c.Ask, client: int, when: float, *, amends: bool = False
    ) -> None:
        """Accept a request; with ``amends`` its take is part of the one that it goes on from."""
        if (living := self.book.living.get((client, ask.req))) is not None:
            self._outbox.reply(client, living.accepted)  # the first one may have been lost
            return
        track = self.session.track(ask.track)
        preset = self._asking.preset_for(ask, track)
        if preset.kind == "audio":
            seed = self._asking.seed(track)
            self.sound.take_on(
                ask, track, preset, client, when, parameters=self.settings.values, seed=seed
            )
            self._asking.accepted(ask, track)
            return
        brief, place = self._asking.understand(ask, track, when)
        self.shelf.prepare(brief.preset, when)
        held_until = self._hands.tick(when) if self.session.is_held() else None
        self._tell(when, held_until)
        self.requests.accept(client, ask, brief, place, when, amends=amends)
        self.initiative.accepted(track, place.target)
        if not amends:
            self._asking.accepted(ask, track)
        self._teller.changed(when)

    # Steering

    def _step_back(
        self, command: c.Undo | c.Redo, track: Track, when: float
    ) -> tuple[Scalar, ...]:
        undo = isinstance(command, c.Undo)
        makers = (self.requests, self.sound.requests)
        if not (undo and any(maker.take_back(track, when) for maker in makers)):
            moved = self.session.undo(track) if undo else self.session.redo(track)
            if not moved:
                what = "undone" if undo else "redone"
                raise SidemanError(
                    Code.NO_CONTEXT, f"there is nothing to be {what} on track {track.name}"
                )
            self._store.write({"event": "undo" if undo else "redo", "track": track.number})
            self.requests.rearranged(track, when)
        active = track.history.now.active
        return (track.number, active[-1] if active else 0)

    def _judge(
        self, command: c.Keep | c.Discard, number: int, when: float
    ) -> tuple[Scalar, ...]:
        take = self.session.takes.get(number)
        if take is None:
            raise SidemanError(Code.BAD_ARGUMENTS, f"there is no take {number} that is closed")
        track = self.session.track(take.track)
        shown = track.history.now.active
        if isinstance(command, c.Keep):
            self.session.keep(take)
            self._store.write({"event": "keep", "take": number})
        else:
            self.session.discard(take)
            self._store.write({"event": "discard", "take": number})
        if track.history.now.active != shown:
            self.requests.rearranged(track, when)
        return (number,)

    def _panic(self, when: float) -> None:
        self.requests.silence()
        for track in self.session.tracks.values():
            for pitch in list(track.held):
                self._release(track, pitch, when)

    def _choose_preset(self, name: str, when: float) -> None:
        self.shelf.choose(name, when)
        self._outbox.changed("preset", name)

    # Parameters

    def _value(self, name: str) -> Scalar | None:
        match name:
            case "preset":
                return self.shelf.preset.name
            case "tempo":
                return self.clock.bpm
            case "playing":
                return int(self.clock.playing)
            case "meter":
                return str(self.clock.meters.at(self._bar))
        value = self.settings.value(name)
        if value is None:
            value = getattr(self.shelf.preset.sampling, name, None)
        return plain(value)

    def _set(self, name: str, value: Any, client: int, when: float) -> None:
        match name:
            case "preset":
                self._choose_preset(value, when)
            case "tempo":
                self.clock.set_tempo(when, value)
                self._time_moved(when)
            case "meter":
                self._set_meter(value, when)
                self._outbox.changed(name, value)
            case _:
                self.settings.put(name, value)
                self._take_turns()
        self._outbox.reply(client, Value(name, self._value(name)))
        self._teller.changed(when)

    def _set_meter(self, text: str, when: float) -> None:
        """From the bar that the song is in, where it stands at its line; else from the next."""
        try:
            meter = Meter.parse(text)
        except ValueError as error:
            raise SidemanError(Code.BAD_ARGUMENTS, f"meter {error}") from None
        here = self._here(when)
        self.clock.set_meters(self.clock.meters.with_change(here.bar + bool(here.tick), meter))
        self._take_meters()
        self._time_moved(when)

    def _take_meters(self) -> None:
        """The session keeps the meters that the clock has."""
        if self.session.meters != self.clock.meters:
            self.session.meters = self.clock.meters
            changes = [(bar, meter.num, meter.den) for bar, meter in self.clock.meters.changes]
            self._store.write({"event": "meters", "changes": changes})

    def _take_turns(self) -> None:
        """Take turns as the parameters say."""
        mode, pause = self.settings.value("mode"), self.settings.value("pause")
        self.initiative.take_turns(Mode(mode), pause)

    @property
    def rests(self) -> bool:
        """Whether the song stands still and nobody waits for a take."""
        return not self.clock.playing and not self.book.living

    def status(self) -> StatusReply:
        """What the engine is doing."""
        model = self.shelf.preset.model
        if not self.shelf.holds(model):
            state = "degraded" if self.shelf.is_broken(model) else "loading"
        else:
            state = "generating" if self.book.living else "ready"
        return StatusReply(
            state,  # type: ignore[arg-type]  # one of the table's choices
            self.shelf.preset.name,
            self._outbox.client_count(),
            self.requests.queued + self.sound.requests.queued,
            self.requests.generating + self.sound.requests.generating,
            self.delivery.missed,
            self.book.closed,
        )

    # The worker

    def worker_ready(self, loaded: wire.Loaded, now: float) -> None:
        """A worker has a model and knows nothing: tell it all that was played and asked."""
        self.requests.speed.stepped(loaded.step_seconds)
        self._foresight.void()
        self._teller.tell_all(now)
        self.requests.worker_ready(now)
        self._teller.changed(now)

    def worker_faster(self, loaded: wire.Loaded) -> None:
        """The compiled step is ready: deadlines are reckoned with its speed."""
        self._foresight.void()
        log.info("the model %s is played by %s now", loaded.model, loaded.runtime)
        self.requests.speed.stepped(loaded.step_seconds)

    def worker_died(self, now: float) -> None:
        """What was asked of the worker is lost."""
        self._foresight.void()
        self.requests.worker_died(now)

    def model_failed(self, failed: wire.Failed, now: float) -> None:
        """A model could not be loaded."""
        self.shelf.failed(failed)
        self.requests.model_failed(failed)

    def worker_says(self, message: wire.FromWorker, now: float) -> None:
        """Something became of a request."""
        match message:
            case wire.Made(job) if job < 0:
                self._foresight.add(message)
            case wire.Made():
                self.requests.notes(message, now)
            case wire.Started():
                self.requests.started(message)
            case wire.Finished():
                self.requests.finished(message)
            case wire.JobDone():
                self.requests.done(message)
            case wire.JobFailed():
                self.requests.failed(message)

    # Time

    def tick(self, now: float) -> None:
        """Do what is due."""
        self._worker.tick(now)
        self.requests.tick(now)
        self.sound.tick(now)
        bar = self._here(now).bar
        self.initiative.check(bar, now)
        if bar != self._bar:
            self._bar = bar
            self._teller.changed(now)
        if self._teller.due(now):
            self._tell(now, most=TELL_AT_ONCE)
            self._make_ahead(now)
        if self._keep_at is not None and now >= self._keep_at:
            self.write_played()

    def _make_ahead(self, now: float) -> None:
        """Have the worker begin what will probably be asked next, where it has nothing to do."""
        if self._worker.ready and not self.book.living:
            guess = self._asking.guess(now)
            begun = None if guess is None else self._foresight.begin(*guess)
            if begun is not None:
                self._worker.send(begun)

    def _tell(
        self, now: float, held_until: int | None = None, most: int | None = None
    ) -> None:
        """The worker hears what has changed; what it made ahead no longer follows from it."""
        self.session.phrase_over(self._hands.bars(now))
        if self._teller.tell(now, held_until, most):
            self._foresight.void()

    def next_moment(self, now: float) -> float:
        """When :meth:`tick` should be called again, if nothing comes in before."""
        moments = [now + 0.5, self._teller.moment, self._keep_at, self.initiative.next_moment(now)]
        moments += [self.requests.next_moment(), self._worker.next_moment()]
        moments.append(self.sound.next_moment())
        line = self.clock.seconds(self.clock.meters.start(self._bar + 1))
        return min(m for m in [*moments, line] if m is not None)

    def horizon_seconds(self, now: float) -> float:
        """How far ahead a time tag may lie: eight bars."""
        return HORIZON_BARS * self.clock.bar_seconds(self._bar)

    def write_played(self) -> None:
        """Put what was played since the last time into the journal."""
        self._keep_at = None
        for number in sorted(self._changed_tracks):
            self._store.write(track_event(self.session.tracks[number]))
        self._changed_tracks.clear()
        for number, bar in sorted(self._played):
            notes = self.session.tracks[number].played.get(bar, [])
            self._store.write(
                {"event": "played", "track": number, "bar": bar,
                 "notes": [wire.row(note) for note in notes]}
            )  # fmt: skip
        self._played.clear()

    # Out

    def _share(self, client: int, reply: Reply) -> None:
        self._outbox.reply(client, reply)
        self._outbox.broadcast(reply, besides=client)

    def _fail(self, client: int, error: SidemanError, req: int, address: str) -> None:
        self._outbox.reply(client, Fail.of(error, req, address))


def track_event(track: Track) -> dict[str, Any]:
    """What is set of a track, as the journal keeps it."""
    return {
        "event": "track", "track": track.number, "name": track.name, "program": track.program,
        "channel": track.channel, "preset": track.preset, "role": track.role,
    }  # fmt: skip
