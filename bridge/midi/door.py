"""What comes in by MIDI, made into what the conductor understands: notes, triggers, time.

One thread only, the conductor's. The musician's notes go to the track of their channel; a message
that is bound to an action sets it off; clock, Start, Stop, Continue and Song Position drive the
song where MIDI leads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from bridge import midi_bytes as midi
from bridge.clocks.midi_clock import MidiClock
from bridge.midi import wire
from bridge.midi.lights import Lights, State, device_for
from bridge.midi.link import Link
from bridge.midi.mapping import Mapping, Match
from engine import presets
from engine.conductor import Conductor
from engine.errors import Code, SidemanError
from engine.messages import commands as c
from engine.messages.replies import Accepted, Done, Fail, Reply
from engine.music import DRUM_CHANNEL
from engine.requests import OURSELVES
from engine.session import Track
from engine.timing import Course
from engine.triggers import Action, Trigger, preset_meant

log = logging.getLogger(__name__)

TIME = (midi.SONG_POSITION, midi.CLOCK, midi.START, midi.CONTINUE, midi.STOP)
"""What drives the song where MIDI leads."""

SAY_EVERY = 0.2
"""Seconds between two failures that are told; a flood has many."""

Led = Callable[[Course, float, bool], None]
"""Takes the song's course by the MIDI clock, the moment, and whether the song was moved."""


class MidiDoor:
    """Between the ports and the conductor."""

    def __init__(
        self,
        conductor: Conductor,
        link: Link,
        opening: wire.Open,
        triggers: dict[Trigger, Action],
        control_channel: int,
        led: Led,
        broadcast: Callable[[Reply], None],
    ) -> None:
        self._conductor = conductor
        self._link = link
        self._ports = opening.ports
        self._control_channel = control_channel
        self._led = led
        self._broadcast = broadcast
        self._clock = MidiClock()
        self._clock_port: int | None = None
        self._preset = conductor.shelf.preset
        self._mapping = Mapping(triggers, self._preset.actions)
        for trigger, action in conductor.settings.learned.items():
            self._mapping.bind(Trigger.parse(trigger), Action.parse(action))
        self._held: dict[int, set[tuple[int, int]]] = {}
        """(Track, pitch) that are held on each port."""
        self._last: dict[int, Track] = {}
        """Track of the last note of each port."""
        self._lights: Lights | None = None
        self._to_learn = ""
        self._failed_at = -SAY_EVERY
        self._open: dict[int, str] = {}
        self._set_off: Trigger | None = None
        """The trigger whose action is being carried out, whose light tells what becomes of it."""
        self._lit: dict[int, Trigger] = {}
        """The triggers whose requests live, by request."""
        self._bound()

    # In

    def receive(self, message: wire.FromPlayer, now: float) -> None:
        """Something came from the process that has the ports."""
        match message:
            case wire.Heard(messages, lost):
                if lost:
                    log.warning("%d MIDI messages were lost: more came than the engine takes", lost)
                for port, when, data in messages:
                    try:
                        self._hear(port, data, when)
                    except SidemanError as error:
                        self._failed(error, when)
            case wire.PortState():
                self._port_changed(message, now)
            case wire.Opened(api, problem):
                if api:
                    log.info("MIDI goes by %s", api)
                else:
                    log.warning("MIDI is off: %s", problem)
            case wire.Sent(_, dropped, worst_ms):
                if dropped:
                    log.warning("%d notes came too late to be played by MIDI", dropped)
                log.debug("MIDI notes went out at most %.2f ms after their moment", worst_ms)

    def _hear(self, port: int, data: bytes, when: float) -> None:
        if data[0] in TIME and self._ports[port].role == "in":
            self._time(port, data, when)
        if not midi.of_channel(data):
            return
        self._use_preset()
        match = self._mapping.match(data, str(port))
        if match is not None:
            self._triggered(match, port, when)
        elif self._ports[port].role == "in":
            self._music(port, data, when)

    def _music(self, port: int, data: bytes, when: float) -> None:
        kind, channel = midi.split(data[0])
        if channel == self._control_channel:
            return
        if midi.begins_note(data):
            track = self._track(channel, when)
            self._last[port] = track
            self._held.setdefault(port, set()).add((track.number, data[1]))
            self._do(c.TrackOn(track.number, data[1], data[2]), when)
        elif midi.ends_note(data):
            track = self._track(channel, when)
            self._held.get(port, set()).discard((track.number, data[1]))
            self._do(c.TrackOff(track.number, data[1]), when)
        elif kind == midi.PROGRAM and channel != DRUM_CHANNEL:
            self._conductor.sounds_as(self._track(channel, when), data[1], when)

    def _track(self, channel: int, when: float) -> Track:
        """The track that a channel's notes are the past of: the one that was given this channel, or
        the one of its number."""
        session = self._conductor.session
        for track in session.tracks.values():
            if track.channel == channel:
                return track
        known = session.tracks.get(channel)
        number = channel if known is None or known.channel is None else 16 + channel
        track = session.track(number)
        if known is None or known is not track:
            self._do(c.TrackSet(number, "channel", channel), when)
            if channel == DRUM_CHANNEL and track.program is None:
                self._do(c.TrackSet(number, "drums", 1), when)
        return track

    def _do(self, command: c.Command, when: float) -> None:
        self._conductor.handle(command, OURSELVES, when)

    # Triggers

    def learn(self, text: str) -> None:
        """The next message that can be a trigger is bound to the action ``text``.

        Raises ``bad-arguments``, or ``not-allowed`` where no input is open.
        """
        if not any(self._ports[number].role in ("in", "control") for number in self._open):
            raise SidemanError(
                Code.NOT_ALLOWED, "no MIDI input is open, so there is nothing to learn from"
            )
        try:
            self._mapping.learn(Action.parse(text))
            self._to_learn = text.strip()
        except ValueError as error:
            raise SidemanError(Code.BAD_ARGUMENTS, f"{error}") from None

    def _use_preset(self) -> None:
        preset = self._conductor.shelf.preset
        if preset is not self._preset:
            self._preset = preset
            self._mapping.use_preset(preset.actions)
            self._bound()

    def _triggered(self, match: Match, port: int, when: float) -> None:
        if match.learned is not None:
            self._conductor.settings.was_learned(str(match.trigger), self._to_learn)
            self._bound()
        if match.action is None:
            return
        self._set_off = match.trigger
        try:
            self._act(match.action, match.share, port, when)
            if match.action.name not in c.VERBS:
                self._show(match.trigger, State.IDLE)
        except SidemanError:
            self._show(match.trigger, State.FAILED)
            raise
        finally:
            self._set_off = None

    def _act(self, action: Action, share: float, port: int, when: float) -> None:
        match action.name:
            case "continue" | "variation" | "accompany" as verb:
                self._conductor.initiative.ask(verb, self._meant(action, port).number, when)
            case "undo":
                self._do(c.Undo(self._meant(action, port).number), when)
            case "redo":
                self._do(c.Redo(self._meant(action, port).number), when)
            case "keep" | "discard" as verdict:
                track = self._meant(action, port)
                active = self._conductor.session.active(track)
                if not active:
                    raise SidemanError(
                        Code.NO_CONTEXT, f"there is no take on track {track.name} to {verdict}"
                    )
                number = active[-1].number
                self._do(c.Keep(number) if verdict == "keep" else c.Discard(number), when)
            case "cancel":
                self._do(c.Cancel(0), when)
            case "panic":
                self._do(c.Panic(), when)
            case "preset":
                name = preset_meant(action.preset or "", presets.names())
                self._do(c.Preset(name), when)
            case name:
                current = self._conductor.settings.values.get(name)
                value = action.value(share, current)
                self._do(c.Set(name, value), when)

    def _meant(self, action: Action, port: int) -> Track:
        """The track that an action names, or the one that was played last, by this port if any."""
        session = self._conductor.session
        if action.track is not None:
            return session.track(action.track)
        if port in self._last:
            return self._last[port]
        return session.track(1 if session.last_track is None else session.last_track)

    def _failed(self, error: SidemanError, now: float) -> None:
        """There is nobody to answer: the log and those who want to know are told."""
        if now - self._failed_at >= SAY_EVERY:
            self._failed_at = now
            log.warning("%s", error.text)
            self._broadcast(Fail.of(error))

    # Time

    def _time(self, port: int, data: bytes, when: float) -> None:
        """Clock and song position, from the first port that sends them."""
        if self._clock_port is None:
            self._clock_port = port
        if port != self._clock_port:
            return
        clock, moved = self._clock, False
        match data[0]:
            case midi.CLOCK:
                clock.tick(when)
            case midi.START:
                clock.start(when)
                moved = True
            case midi.CONTINUE:
                clock.resume(when)
            case midi.STOP:
                clock.stop(when)
            case midi.SONG_POSITION:
                if len(data) != 3:
                    return
                clock.song_position((data[1] & 0x7F) | (data[2] & 0x7F) << 7, when)
                moved = True
        self._led(clock.course, when, moved)

    @property
    def clock(self) -> MidiClock:
        """The MIDI clock that comes in."""
        return self._clock

    # Ports and lights

    def _port_changed(self, state: wire.PortState, now: float) -> None:
        port = self._ports[state.port]
        self._open.pop(state.port, None)
        if not state.problem:
            log.info("MIDI %s: %s is open", port.role, state.name)
            self._open[state.port] = f"{port.role}: {state.name}"
            device = device_for(state.name) if port.role == "lights" else None
            self._lights = Lights(device) if device is not None else self._lights
            self._send_lights(self._lights.open() if device and self._lights else [])
            self._bound()
        elif port.role != "lights":
            log.warning("MIDI %s: %s: %s", port.role, state.name, state.problem)
            self._mapping.lost(str(state.port))
            for track, pitch in self._held.pop(state.port, ()):  # nobody can let them go any more
                self._do(c.TrackOff(track, pitch), now)
            if state.port == self._clock_port:
                self._clock_port = None
        self._conductor.settings.tell("ports", "; ".join(self._open[n] for n in sorted(self._open)))

    def replied(self, reply: Reply) -> None:
        """An answer to what we asked for ourselves: lights tell how it goes."""
        match reply:
            case Fail():
                trigger = self._lit.pop(reply.req, self._set_off)
                if trigger is not None:
                    self._show(trigger, State.FAILED)
                log.warning("%s", reply.text)
            case Done(int(req)):
                if req in self._lit:
                    self._show(self._lit.pop(req), State.IDLE)
            case _:
                self._light(getattr(reply, "req", 0), isinstance(reply, Accepted))

    def _light(self, req: int, accepted: bool) -> None:
        """A request of ours was accepted, or its music comes."""
        if accepted and self._set_off is not None:
            self._lit[req] = self._set_off
        if req in self._lit:
            self._show(self._lit[req], State.WAITING if accepted else State.PLAYING)

    def _show(self, trigger: Trigger, state: State) -> None:
        if self._lights is not None:
            self._send_lights(self._lights.show(trigger, state))

    def _bound(self) -> None:
        """Other triggers are in force: pads show it, and those that mean panic need not wait."""
        table = self._mapping.table
        self._link.panic_by([t for t, action in table.items() if action.name == "panic"])
        if self._lights is not None:
            self._send_lights(self._lights.bound(table))

    def _send_lights(self, messages: list[bytes]) -> None:
        for data in messages:
            self._link.show(data)

    def close(self) -> None:
        """Leave the pads as they were."""
        if self._lights is not None:
            self._send_lights(self._lights.close())
