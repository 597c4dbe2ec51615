"""The worker: a process that holds the models and makes takes.

It does one small thing at a time, the most urgent first: answer the line, make a token of the
request that is due next, feed what was heard, make ahead what may be asked next. So a cancelled
request ends between two tokens, and the line is never left waiting longer than one step.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from engine import garbage, priority
from engine.errors import Code, SidemanError
from engine.feel import Feel, Performance
from engine.generate import Making
from engine.listener import Listener, digest
from engine.models import adapters, registry
from engine.models.base import Model
from engine.models.folder import read_info
from engine.music import Meter, Note
from engine.recall.memory import Memory
from engine.tokens.vocabulary import Vocabulary
from engine.worker import wire
from engine.worker.inbox import Inbox

FEED_TOKENS = 32
"""Tokens fed before the line is looked at again."""

SPECULATED_BARS = 2
"""How far a take is made before anybody has asked for it."""

REST = 0.0005
"""Seconds of rest after a request's first notes. Who carries them on may have been woken on this
very processor: without a rest they would wait for the end of our time slice, some milliseconds."""

WARM_UP_STEPS = 24


@dataclass(slots=True)
class Player:
    """A loaded model with the vocabulary that it speaks and what it has heard."""

    model: Model
    vocabulary: Vocabulary
    listener: Listener
    weights_hash: str
    runtime: str
    """What computed the listener's states."""
    feel: Feel
    memory: Memory | None = None
    """The song's own past, where the model knows how to use it."""


@dataclass(slots=True)
class Job:
    """A request in work, or a guess at the next one (its number is below 0).

    ``events`` are what was made: notes by variation, or None where a variation is complete.
    """

    number: int
    model: str
    wish: wire.Wish
    due: float
    making: Making | None = None
    mark: int = 0
    context: list[list[int]] = field(default_factory=list)
    """The tokens that it follows."""
    performances: list[Performance] = field(default_factory=list)
    """How each variation is played."""
    fed: int = 0
    seconds: float = 0.0
    bar: int = 0
    speculated: bool = False
    events: list[tuple[int, Note | None]] = field(default_factory=list)
    said: int = 0
    """How many of the events were sent."""

    @property
    def has_enough_to_say(self) -> bool:
        """Whether to send what was made: the first note at once, then as many as there are takes.

        Each message wakes the engine, and only the first notes are waited for.
        """
        waiting = len(self.events) - self.said
        done = self.making is not None and self.making.done
        return done or waiting >= (self.wish.variations if self.said else 1)


class Worker:
    """What the process does, without the process: ``handle`` a message, then ``work`` while True.

    ``send`` takes what is to be said. ``seconds`` is a monotonic clock. Who is ``patient`` plays
    nothing before a model's fastest runtime is there, so that every take is made by the same one.
    """

    def __init__(
        self,
        send: Callable[[wire.Message], None],
        seconds: Callable[[], float] = time.perf_counter,
        *,
        patient: bool = False,
    ) -> None:
        self._send = send
        self._seconds = seconds
        self._patient = patient
        self._players: dict[str, Player] = {}
        self._heard: dict[int, tuple[Meter, list[Note]]] = {}
        self._jobs: dict[int, Job] = {}
        self._guess: Job | None = None
        self._behind = False
        """Whether something was heard that may not have been fed yet."""

    def handle(self, message: wire.ToWorker) -> None:
        """Take in one message."""
        match message:
            case wire.Ping(n):
                self._send(wire.Pong(n))
            case wire.Make():
                self._make(message)
            case wire.Cancel(job):
                self._jobs.pop(job, None)
            case wire.Hear(bars):
                for bar, num, den, rows in bars:
                    self._hear(bar, Meter(num, den), [Note(*row) for row in rows])
            case wire.Speculate():
                self._speculate(message)
            case wire.Forget():
                self._heard.clear()
                self._guess = None
                for player in self._players.values():
                    player.listener.forget()
                    player.feel.forget()
            case wire.Load():
                self._load(message)
            case wire.Unload(model):
                self._unload(model)

    def work(self) -> bool:
        """Do the most urgent small thing. False where there is nothing to do."""
        if self._jobs:
            self._advance(min(self._jobs.values(), key=lambda job: (job.due, job.number)))
            return True
        for name, player in self._players.items():
            if player.runtime != player.model.runtime:
                self._run_faster(name, player)
                return True
        if self._behind:
            self._behind = any([p.listener.advance(FEED_TOKENS) for p in self._players.values()])
            return True
        return self._guess is not None and self._think_ahead(self._guess)

    # Models

    def _load(self, message: wire.Load) -> None:
        try:
            player = self._open(Path(message.folder), message)
        except SidemanError as error:
            self._send(wire.Failed(message.model, error.code, error.text))
            return
        except MemoryError:
            text = f"not enough memory for the model {message.model}; choose a smaller one"
            self._send(wire.Failed(message.model, Code.OUT_OF_MEMORY, text))
            return
        self._players[message.model] = player
        self._guess = None  # another adapter, another take
        self._say_loaded(message.model, player)

    def _run_faster(self, name: str, player: Player) -> None:
        """The compiled step has taken over from the plain one.

        Their last digits differ: what was fed is fed again, so that from now on equal requests give
        equal takes.
        """
        player.runtime = player.model.runtime
        player.listener = self._listen(player.vocabulary, player.model)
        self._guess = None
        self._say_loaded(name, player)

    def _say_loaded(self, name: str, player: Player) -> None:
        self._send(
            wire.Loaded(
                name,
                player.runtime,
                player.model.precision,
                player.weights_hash,
                self._step_seconds(player),
            )
        )

    def _listen(self, vocabulary: Vocabulary, model: Model) -> Listener:
        """A listener that has heard everything, and will feed it when there is time."""
        listener = Listener(vocabulary, model.open(), prelude=_prelude(vocabulary))
        for bar, (meter, notes) in self._heard.items():
            listener.hear(bar, meter, notes)
        self._behind = True
        return listener

    def _feel(self, vocabulary: Vocabulary) -> Feel:
        feel = Feel(vocabulary)
        for bar, (meter, notes) in self._heard.items():
            feel.hear(bar, meter, notes)
        return feel

    def _open(self, folder: Path, message: wire.Load) -> Player:
        # One stream of a small model is no faster on a GPU: it is used where it is asked for.
        device = "cpu" if message.device == "auto" else message.device
        adapter, info = None, read_info(folder)
        if message.adapter:
            adapter = adapters.attach(Path(message.adapter), info, message.strength)
        model = registry.load(folder, device=device, precision=message.precision, adapter=adapter)
        if self._patient:
            model.warm_up()
        if info.tokenizer is None:
            raise SidemanError(Code.BAD_FILE, f"model {info.name} has no tokenizer: it can't play")
        vocabulary = Vocabulary.load(folder / info.tokenizer.file)
        garbage.settle()
        listener = self._listen(vocabulary, model)
        weights_hash = info.weights.sha256 + (adapter.mark if adapter else "")
        memory = Memory.of(folder, info, vocabulary)
        feel = self._feel(vocabulary)
        return Player(model, vocabulary, listener, weights_hash, model.runtime, feel, memory)

    def _unload(self, model: str) -> None:
        self._players.pop(model, None)
        if self._guess is not None and self._guess.model == model:
            self._guess = None
        for job in [job for job in self._jobs.values() if job.model == model]:
            self._fail(job, Code.UNKNOWN_MODEL, f"the model {model} was unloaded")

    def _step_seconds(self, player: Player) -> float:
        """Median time of a step: what deadlines are reckoned with."""
        stream = player.model.open()
        times = []
        for token in range(WARM_UP_STEPS):
            begun = self._seconds()
            stream.step([token % player.model.vocab])
            times.append(self._seconds() - begun)
        return sorted(times)[len(times) // 2]

    # Listening

    def _hear(self, bar: int, meter: Meter, notes: list[Note]) -> None:
        self._behind = True
        self._heard[bar] = (meter, notes)
        for player in self._players.values():
            player.listener.hear(bar, meter, notes)
            player.feel.hear(bar, meter, notes)

    # Requests

    def _make(self, message: wire.Make) -> None:
        if message.model not in self._players:
            text = f"the model {message.model} is not loaded"
            self._send(wire.JobFailed(message.job, Code.UNKNOWN_MODEL, text))
            return
        due = float("inf") if message.due is None else message.due
        job = self._foreseen(message)
        self._guess = None  # a wrong one would keep the memory from going on without a copy
        if job is None:
            self._jobs[message.job] = Job(message.job, message.model, message.wish, due)
            return
        # All is said once more: the engine may have let go of what it was told of the guess.
        job.number, job.due, job.fed, job.said, job.speculated = message.job, due, 0, 0, True
        self._jobs[job.number] = job
        self._say_started(job)
        self._flush(job)

    def _foreseen(self, message: wire.Make | wire.Speculate) -> Job | None:
        """What was made ahead, where it is just what is asked now.

        Where in the song does not matter: as long as nothing new is heard, the next bar line's take
        is this one's.
        """
        guess = self._guess
        if guess is None or guess.making is None or guess.model != message.model:
            return None
        wish = message.wish
        if replace(guess.wish, context_end=wish.context_end) != wish:
            return None
        listener = self._players[message.model].listener
        return guess if guess.mark == listener.mark(wish.context_end) else None

    def _speculate(self, message: wire.Speculate) -> None:
        if message.model not in self._players:
            return
        guess = self._foreseen(message)
        if guess is None:
            self._guess = Job(message.job, message.model, message.wish, 0.0)
        else:
            guess.number, guess.said = message.job, 0
            self._flush(guess)

    def _think_ahead(self, guess: Job) -> bool:
        if _is_enough(guess):
            return False
        bar = guess.bar
        try:
            self._step(guess)
        except (SidemanError, MemoryError, KeyError):
            self._guess = None  # a guess that can't be fulfilled is nobody's business
            return True
        # The first note at once, then bar by bar: each message wakes the engine.
        if not guess.said or guess.bar != bar or _is_enough(guess):
            self._flush(guess)
        return True

    def _advance(self, job: Job) -> None:
        """One token of a request, and what came of it."""
        try:
            begun = job.making is not None
            self._step(job)
            if not begun and job.making is not None:
                self._say_started(job)
            if job.has_enough_to_say:
                self._flush(job)
        except SidemanError as error:
            self._fail(job, error.code, error.text)
        except MemoryError:
            self._fail(job, Code.OUT_OF_MEMORY, "not enough memory; ask for fewer variations")

    def _step(self, job: Job) -> None:
        """Bring the context up to date, a little at a time; then write one token."""
        begun = self._seconds()
        player = self._players[job.model]
        if job.making is None:
            fed = player.listener.approach(job.wish.context_end, FEED_TOKENS)
            job.fed += fed
            if fed == 0:
                job.mark = player.listener.mark(job.wish.context_end)
                if player.memory is not None:
                    player.memory.follow(player.listener.passages(job.wish.context_end))
                job.making = Making(
                    player.vocabulary, player.listener.stream, job.wish, player.memory
                )
                job.performances = [
                    Performance(player.feel, job.wish) for _ in range(job.wish.variations)
                ]
                job.context = player.listener.tokens(job.wish.context_end)
        else:
            step = job.making.step()
            for variation, note in step.notes:
                ready = job.performances[variation].take(note)
                job.events += [(variation, each) for each in ready]
                job.bar = max(job.bar, note.bar)
            for variation in step.finished:
                ready = job.performances[variation].rest()
                job.events += [*((variation, each) for each in ready), (variation, None)]
        job.seconds += self._seconds() - begun

    def _say_started(self, job: Job) -> None:
        self._send(wire.Started(job.number, job.fed, job.speculated))

    def _flush(self, job: Job) -> None:
        """Send what was made: runs of one variation's notes as one message.

        Of a guess only the notes: its variations are finished once it has been asked for.
        """
        if job.number > 0:
            job.events[job.said :] = sorted(job.events[job.said :], key=lambda event: event[0])
        for (variation, finished), run in groupby(
            job.events[job.said :], key=lambda event: (event[0], event[1] is None)
        ):
            events = list(run)
            if not finished:
                rows = [wire.row(note) for _, note in events if note is not None]
                self._send(wire.Made(job.number, variation, rows))
            elif job.number > 0:
                self._send(wire.Finished(job.number, variation, digest(job.context)))
            else:
                return
            job.said += len(events)
        if job.number > 0 and job.making is not None and job.making.done:
            self._jobs.pop(job.number, None)
            self._send(wire.JobDone(job.number, job.making.tokens, job.seconds))

    def _fail(self, job: Job, code: str, text: str) -> None:
        self._jobs.pop(job.number, None)
        self._send(wire.JobFailed(job.number, code, text))


def _is_enough(guess: Job) -> bool:
    """Whether a guess was made as far as it is to be."""
    making = guess.making
    return making is not None and (making.done or guess.bar >= SPECULATED_BARS)


def _prelude(vocabulary: Vocabulary) -> list[int]:
    """What every context begins with, as every piece did in training."""
    return [vocabulary.ids["BOS_None"]] if "BOS_None" in vocabulary.ids else []


def main() -> int:
    """Talk over stdin and stdout until the other side is gone."""
    # Whatever a library prints must not get between the messages.
    line = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    priority.give_way()
    # The reader must get its turn soon while Python code is busy here; the default is 5 ms.
    sys.setswitchinterval(0.0005)
    inbox = Inbox(sys.stdin.buffer, wire.for_worker)
    worker = Worker(Outlet(line).say)
    sweeper = garbage.Sweeper()
    while not inbox.closed:
        message = inbox.take()
        if message is not None:
            worker.handle(message)
        elif not worker.work() and not sweeper.idle(time.monotonic()):
            inbox.wait()
    return 0


class Outlet:
    """Writes what the worker says. One thread only."""

    def __init__(self, line: BinaryIO) -> None:
        self._line = line
        self._rested_for = 0

    def say(self, message: wire.Message) -> None:
        """Write one message; after the first notes of a request, rest for a moment."""
        view = memoryview(wire.frame(message))
        while view:
            with suppress(InterruptedError):
                view = view[self._line.write(view) or 0 :]
        if isinstance(message, wire.Made) and message.job > self._rested_for:
            self._rested_for = message.job
            time.sleep(REST)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(0)
