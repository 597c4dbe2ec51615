"""The long-running engine: one loop that owns the conductor, and the threads that feed it.

The receiving thread of the OSC server, the readers of the worker's line, the scribe and the loader
put what they have into one queue; this loop takes it out, in order, and nothing else touches the
session. It never waits for anything but the queue.
"""

from __future__ import annotations

import ipaddress
import logging
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue

from bridge import bench
from bridge import config as configs
from bridge.clock import SongClock
from bridge.clocks.leader import Source
from bridge.clocks.sources import Clocks
from bridge.config import ServeOptions
from bridge.files import session_folder
from bridge.files.loader import FileLoader
from bridge.files.session_folder import Scribe
from bridge.midi.opening import wanted
from bridge.midi.service import Midi
from bridge.osc.clients import Clients, Endpoint
from bridge.osc.codec import capability_parts
from bridge.osc.door import OscDoor
from bridge.osc.server import OscServer
from engine import garbage, presets, priority
from engine.conductor import Conductor
from engine.errors import Code, SidemanError
from engine.messages import Command, Reply, Scalar, capabilities
from engine.messages.commands import Capabilities, Learn, Panic, Set
from engine.messages.parameters import PARAMETERS
from engine.messages.replies import Done
from engine.requests import OURSELVES
from engine.worker import wire
from engine.worker.link import Line
from engine.worker.supervisor import Supervisor

log = logging.getLogger(__name__)

BATCH = 64
"""Things taken out of the queue before the time is looked at again."""

PLUGIN = "Sideman plugin"
"""How the name begins that our plugin gives in its hello: its host knows best where the bar is."""

SOUND_HANG_SECONDS = 60.0
"""Hearing a prompt is one step of a model of sound, and takes a large one long without a GPU."""

SOUND_FIRST_GUESS = 8.0
"""Seconds that a start of the worker for sound takes, before one was measured."""

PANIC = Panic.address.encode() + b"\0"
"""How a packet begins that must not wait."""

Packet = tuple[bytes, Endpoint, float]
Call = Callable[[], None]


class OscOutbox:
    """Replies go out by the door. See :class:`engine.ports.Outbox`."""

    def __init__(self, door: OscDoor) -> None:
        self._door = door
        self.to_ourselves: Callable[[Reply], None] = lambda reply: None
        """Takes what is answered to pads and phrases."""

    def reply(self, client_id: int, reply: Reply) -> None:
        """To one client, or to ourselves."""
        if client_id == OURSELVES:
            self.to_ourselves(reply)
        else:
            self._door.reply(client_id, reply)

    def broadcast(self, reply: Reply, besides: int | None = None) -> None:
        """To all that asked to be notified."""
        self._door.broadcast(reply, besides)

    def changed(self, name: str, value: Scalar | None) -> None:
        """To all that listen to a parameter."""
        self._door.changed(name, value)

    def flush(self) -> None:
        """To those that wait for it on this processor."""
        priority.let_others_in()

    def client_count(self) -> int:
        """How many clients said hello."""
        return len(self._door.clients)


class Engine:
    """Everything that runs, wired together. :meth:`run` returns once :meth:`stop` was called."""

    def __init__(self, options: ServeOptions) -> None:
        """Binds its ports and makes its session folder. Raises what the user has to mend."""
        check(options)
        preset = presets.load(options.preset)
        token = options.config.osc.token or None
        self._queue: SimpleQueue[Packet | Call | None] = SimpleQueue()
        self._midi: Midi | None = None
        self._server = OscServer(options.osc_host, options.osc_port, self._deliver)
        clients = Clients(None if _is_loopback(options.osc_host) else token)
        self._door = OscDoor(self._server, clients, self._handle, self._horizon)
        folder, recalled = open_session(options)
        self._scribe = Scribe(folder, self._queue.put)
        sessions = folder.parent
        allowed = [folder, sessions, *options.config.files.allowed_folders]
        self._outbox = OscOutbox(self._door)
        self.conductor = Conductor(
            clock=SongClock(),
            outbox=self._outbox,
            store=self._scribe,
            loader=FileLoader(allowed, self._queue.put),
            preset=preset,
            device=options.device,
        )
        self._worker = Supervisor(
            lambda: Line(self._worker_says, wire.from_worker), self.conductor
        )
        self._sound_worker = Supervisor(
            lambda: Line(
                self._sound_worker_says,
                wire.from_worker,
                command=sound_command(options.config.audio.memory_mb),
            ),
            self.conductor.sound,
            hang_seconds=SOUND_HANG_SECONDS,
            first_guess=SOUND_FIRST_GUESS,
        )
        self.conductor.connect(self._worker, self._sound_worker)
        for name, value in options.config.parameters.items():
            self.conductor.handle(Set(name, PARAMETERS[name].check(value)), OURSELVES, 0.0)
        self._know_speed()
        if recalled:
            session_folder.recall(folder, self.conductor)
        self._clocks = Clocks(
            options.clock, self.conductor, hears_link=options.config.link.enabled
        )
        self._midi = self._open_midi(options)
        self._sweeper = garbage.Sweeper()
        self._capabilities = capability_parts(capabilities())
        self._running = True

    def _know_speed(self) -> None:
        """Begin with what ``sideman bench`` found on this machine, where it was run."""
        found = bench.stored()
        if found is None:
            return
        speed = self.conductor.requests.speed
        speed.token_seconds = found.token_seconds
        speed.bar_tokens = found.bar_tokens
        speed.token_steps = found.token_seconds / found.step_seconds
        if not found.thinks_ahead:
            self.conductor.settings.values.setdefault("speculation", False)

    def _open_midi(self, options: ServeOptions) -> Midi | None:
        opening = wanted(options)
        if opening is None:
            return None
        midi = Midi(opening, options, self.conductor, self._clocks, self._queue.put)
        midi.broadcast = self._outbox.broadcast
        self._outbox.to_ourselves = midi.door.replied
        return midi

    @property
    def port(self) -> int:
        """The OSC port, UDP and TCP."""
        return self._server.port

    @property
    def host(self) -> str:
        """The address that the OSC server is bound to."""
        return self._server.host

    def run(self, on_ready: Call) -> None:
        """Serve until :meth:`stop`. ``on_ready`` is called once requests are answered."""
        self.conductor.start(time.monotonic())
        self._server.start()
        garbage.settle()
        try:
            if self._midi is not None:
                while self._running and self._midi.opening:
                    self._turn()
                self._midi.tick(time.monotonic())
            on_ready()
            while self._running:
                self._turn()
        finally:
            self._close()

    def stop(self) -> None:
        """End :meth:`run`; may be called from a signal handler or another thread."""
        self._running = False
        self._queue.put(None)

    def _turn(self) -> None:
        now = time.monotonic()
        next_tag = self._door.tick(now)
        self._clocks.tick(now)
        self.conductor.tick(now)
        moment = self.conductor.next_moment(now)
        if (poll := self._clocks.next_moment()) is not None:
            moment = min(moment, poll)
        if self._midi is not None:
            moment = min(moment, self._midi.tick(now))
        if next_tag is not None:
            moment = min(moment, next_tag)
        try:
            if self._queue.empty() and self.conductor.rests:
                self._sweeper.idle(now)
            item = self._queue.get(timeout=max(0.0, moment - time.monotonic()))
            for _ in range(BATCH):
                self._take(item)
                item = self._queue.get_nowait()
            self._take(item)
        except Empty:
            pass

    def _take(self, item: Packet | Call | None) -> None:
        if item is None:
            return
        try:
            if callable(item):
                item()
            else:
                self._door.receive(*item)
        except Exception:
            # The music goes on whatever was wrong with one message; the log says what it was.
            log.exception("a message was lost to an error of the engine")

    def _deliver(self, packet: bytes, endpoint: Endpoint, arrived: float) -> None:
        """On the server's thread."""
        if packet.startswith(PANIC) and self._door.clients.open and self._midi is not None:
            self._midi.link.silence_now()  # the rest of it has to wait for its turn
        self._queue.put((packet, endpoint, arrived))

    def _worker_says(
        self, line: Line[wire.FromWorker], message: wire.FromWorker | None
    ) -> None:
        """On the thread that reads the worker's line."""
        self._queue.put(lambda: self._worker.receive(line, message, time.monotonic()))

    def _sound_worker_says(
        self, line: Line[wire.FromWorker], message: wire.FromWorker | None
    ) -> None:
        """On the thread that reads the sound worker's line."""
        self._queue.put(lambda: self._sound_worker.receive(line, message, time.monotonic()))

    def _handle(self, command: Command, client: int, when: float) -> None:
        match command:
            case Capabilities():
                for part in self._capabilities:
                    self._door.reply(client, part)
            case Learn(action) if self._midi is not None:
                self._midi.door.learn(action)
                self._door.reply(client, Done(command.address, (action,)))
            case _ if self._clocks.takes(command, when, self._source(client)):
                pass
            case _:
                self.conductor.handle(command, client, when)

    def _source(self, client: int) -> Source:
        """As which source of time a client speaks."""
        known = self._door.clients.get(client)
        return "plugin" if known is not None and known.name.startswith(PLUGIN) else "osc"

    def _horizon(self) -> float:
        return self.conductor.horizon_seconds(time.monotonic())

    def _close(self) -> None:
        """In order: nothing new comes in, what was played is kept, the worker ends."""
        self._server.stop()
        self.conductor.write_played()
        if self._midi is not None:
            self._midi.close()
        self._clocks.close()
        self._worker.close()
        self._sound_worker.close()
        self._scribe.close()


def sound_command(memory_mb: int) -> tuple[str, ...]:
    """What starts the worker for sound."""
    return (sys.executable, "-m", "engine.worker.sound", str(memory_mb))


def check(options: ServeOptions) -> None:
    """Refuse what this engine can't do, before anything is opened."""
    if options.no_midi and options.clock == "midi":
        raise SidemanError(Code.NOT_ALLOWED, "--clock midi needs MIDI: leave out --no-midi")
    if not _is_loopback(options.osc_host) and not options.config.osc.token:
        raise SidemanError(
            Code.NOT_ALLOWED,
            f"{options.osc_host} can be reached from other machines: set osc.token in the config,"
            " which clients then send in hello",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_session(options: ServeOptions) -> tuple[Path, bool]:
    """The session's folder, and whether it is taken up again.

    A folder named by ``--sessions`` is a project: its newest session goes on. In the user's own
    folder each start begins a new session, but for one that was cut off.
    """
    sessions = options.sessions or configs.default_sessions()
    last = None if options.new_session else session_folder.newest(sessions)
    if last is not None and (options.sessions or session_folder.was_cut_off(last)):
        return last, True
    return session_folder.new_folder(sessions, datetime.now()), False


def serve(options: ServeOptions) -> int:
    """``sideman serve``: run until SIGINT or SIGTERM, then stop in order. Returns 0."""
    logging.basicConfig(
        level=options.log_level.upper(), format="%(levelname)s %(name)s: %(message)s"
    )
    # Threads that receive must get their turn soon; the default of 5 ms could be heard.
    sys.setswitchinterval(0.0005)
    engine = Engine(options)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: engine.stop())

    def ready() -> None:
        print(
            f"ready osc={engine.host}:{engine.port} panel=none preset={options.preset}", flush=True
        )

    engine.run(ready)
    return 0
