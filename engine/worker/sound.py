"""The worker for sound: a process that holds the models of sound and makes takes with them.

It does one small thing at a time, the most urgent first: answer the line, or make a frame of the
take whose sound is needed next. A request that is cancelled ends between two of them. Requests that
can share a model's steps are made side by side.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
import soundfile
import soxr

from engine import garbage, priority
from engine.audio import Audio
from engine.audio.continuation import Continuation, can_share
from engine.audio.grid import Grid
from engine.audio.wanted import Wanted, check
from engine.errors import Code, SidemanError
from engine.models import audio as families
from engine.models.audio import AudioModel, Cue, Sampling
from engine.models.folder import ModelInfo, read_info
from engine.sound.brief import grid_of
from engine.worker import wire
from engine.worker.inbox import Inbox
from engine.worker.process import Outlet
from engine.worker.room import MIB, SHARE, Resident, make_room

log = logging.getLogger(__name__)

LOOK_EVERY = 0.02
"""Seconds after which a model that is being loaded is looked for."""

MOST_AT_ONCE = 4
"""Takes that share a model's steps, and groups of takes that are begun at once."""

WARM_UP_FRAMES = 12

Adapters = list[tuple[str, str, float]]


@dataclass(slots=True)
class Loaded:
    """A model in memory, and where its adapters lie."""

    model: AudioModel
    info: ModelInfo
    folders: dict[str, Path]
    used_at: float

    def counts(self, adapters: Adapters) -> None:
        """Have these adapters count, and no others. Raises as `AudioModel.adapt`."""
        wanted = {name: strength for name, _, strength in adapters}
        if wanted != dict(self.model.adapters):
            self.folders.update({name: Path(folder) for name, folder, _ in adapters})
            self.model.adapt(wanted)


@dataclass(slots=True)
class Job:
    """A request for one take."""

    number: int
    model: str
    wish: wire.SoundWish
    adapters: Adapters
    needed_at: float
    """When its first sound is needed, in seconds; its arrival where nothing waits for it."""
    context_hash: str = ""
    made: int = 0
    """Sample frames that were sent."""
    hashed: hashlib.blake2b = field(default_factory=partial(hashlib.blake2b, digest_size=8))
    """Of all that was sent."""

    @property
    def urgency(self) -> float:
        """When its next sound is needed."""
        return self.needed_at + self.made / self.wish.rate


@dataclass(slots=True)
class Group:
    """Takes that are made side by side."""

    model: str
    jobs: list[Job | None]
    """None where a take was cancelled."""
    making: Continuation
    adapters: Adapters
    then: Adapters | None = None
    """What counts from the next bar line on, where that was changed."""
    bar: int = 0
    seconds: float = 0.0

    @property
    def urgency(self) -> tuple[float, int]:
        """The most urgent of its takes."""
        return min((job.urgency, job.number) for job in self.jobs if job is not None)


@dataclass(slots=True)
class Loading:
    """A model that a thread is loading; ``done`` is put into a queue."""

    message: wire.Load
    result: Loaded | SidemanError | None = None


class SoundWorker:
    """What the process does, without the process: ``handle`` a message, then ``work`` while True.

    ``send`` takes what is to be said, ``seconds`` is a monotonic clock. Models load on a thread, so
    that what plays goes on; who is ``patient`` has them load in its own. ``budget`` is the memory
    for models in bytes; with none it is a share of the device's.
    """

    def __init__(
        self,
        send: Callable[[wire.Message], None],
        seconds: Callable[[], float] = time.monotonic,
        *,
        patient: bool = False,
        budget: int | None = None,
    ) -> None:
        self._send = send
        self._seconds = seconds
        self._patient = patient
        self._budget = budget
        self._models: dict[str, Loaded] = {}
        self._loading: dict[str, Loading] = {}
        self._opened: SimpleQueue[Loading] = SimpleQueue()
        self._adapting: list[wire.Adapt] = []
        self._waiting: list[Job] = []
        self._groups: list[Group] = []

    @property
    def loading(self) -> bool:
        """Whether a model is on its way."""
        return bool(self._loading)

    def handle(self, message: wire.ToWorker) -> None:
        """Take in one message."""
        match message:
            case wire.Ping(n):
                self._send(wire.Pong(n))
            case wire.MakeSound():
                self._take(message)
            case wire.Cancel(number):
                self._cancel(number)
            case wire.Adapt():
                self._adapt(message)
            case wire.Load():
                self._load(message)
            case wire.Unload(model):
                self._unload(model)
            case _:
                pass  # what was played by notes is nothing to this worker

    def work(self) -> bool:
        """Do the most urgent small thing. False where there is nothing to do."""
        try:
            self._arrived(self._opened.get_nowait())
            return True
        except Empty:
            pass
        waiting = [job for job in self._waiting if job.model in self._models]
        group = min(self._groups, key=lambda group: group.urgency, default=None)
        if waiting and len(self._groups) < MOST_AT_ONCE:
            job = min(waiting, key=lambda job: (job.urgency, job.number))
            if group is None or (job.urgency, job.number) < group.urgency:
                self._begin(job)
                return True
        if group is None:
            return False
        self._advance(group)
        return True

    # Models

    def _load(self, message: wire.Load) -> None:
        loading = Loading(message)
        self._loading[message.model] = loading
        if self._patient:
            self._open(loading)
            self._arrived(self._opened.get())
        else:
            threading.Thread(
                target=self._open, args=(loading,), name="model-loader", daemon=True
            ).start()

    def _open(self, loading: Loading) -> None:
        """On the loader's thread."""
        message = loading.message
        try:
            loading.result = self._read(message)
        except SidemanError as error:
            loading.result = error
        except Exception as error:  # whatever it is, who waits for the model must hear of it
            loading.result = _plainly(error, f"the model {message.model}")
        self._opened.put(loading)

    def _read(self, message: wire.Load) -> Loaded:
        folder = Path(message.folder)
        if not folder.is_dir():
            from engine.models.musicgen.installing import make

            make(folder.name)
        info = read_info(folder)
        device = device_of(message.device)
        self._make_room(message.model, size_of(folder, info, device), device)
        folders: dict[str, Path] = {}
        model = families.family(info.family).load(
            folder,
            device=device,
            precision=message.precision,
            find_adapter=folders.__getitem__,
        )
        return Loaded(model, info, folders, self._seconds())

    def _arrived(self, loading: Loading) -> None:
        message, result = loading.message, loading.result
        if self._loading.get(message.model) is not loading:
            return  # nobody wants it any more
        del self._loading[message.model]
        if isinstance(result, Loaded):
            garbage.settle()
            self._models[message.model] = result
            self._say_loaded(message.model, result)
        else:
            assert result is not None
            self._send(wire.Failed(message.model, result.code, result.text))
            for job in [job for job in self._waiting if job.model == message.model]:
                self._fail(job, result)
        for change in [c for c in self._adapting if c.model == message.model]:
            self._adapting.remove(change)
            self._adapt(change)

    def _say_loaded(self, name: str, loaded: Loaded) -> None:
        model = loaded.model
        self._send(
            wire.Loaded(
                name,
                loaded.info.family,
                "",
                loaded.info.weights.sha256,
                self._step_seconds(model),
                float(1 / model.frame_rate),
            )
        )

    def _step_seconds(self, model: AudioModel) -> float:
        """Median time of a frame: what deadlines are reckoned with until a take was made."""
        stream = model.open(1, frames=2 * WARM_UP_FRAMES, sampling=Sampling(), seeds=[0])
        stream.prime(None, [Cue()])
        times = []
        for _ in range(WARM_UP_FRAMES):
            begun = self._seconds()
            stream.step()
            times.append(self._seconds() - begun)
        return sorted(times)[len(times) // 2]

    def _make_room(self, name: str, nbytes: int, device: str) -> None:
        """Unload what has to go. Called on the loader's thread, which alone adds models."""
        budget = memory_of(device) if self._budget is None else self._budget
        busy = {group.model for group in self._groups} | {job.model for job in self._waiting}
        resident = {
            other: Resident(loaded.model.nbytes, loaded.used_at, other in busy)
            for other, loaded in self._models.items()
            if other != name
        }
        for other in make_room(name, nbytes, resident, budget):
            del self._models[other]
            self._send(wire.Unloaded(other))

    def _unload(self, name: str) -> None:
        self._loading.pop(name, None)
        self._models.pop(name, None)
        error = SidemanError(Code.UNKNOWN_MODEL, f"the model {name} was unloaded")
        for group in [group for group in self._groups if group.model == name]:
            self._end(group, error)
        for job in [job for job in self._waiting if job.model == name]:
            self._fail(job, error)

    def _adapt(self, message: wire.Adapt) -> None:
        """See whether the adapters fit; what is being made takes them up at its next bar line."""
        if message.model in self._loading:
            self._adapting.append(message)
            return
        loaded = self._models.get(message.model)
        try:
            if loaded is None:
                text = f"the model {message.model} is not loaded"
                raise SidemanError(Code.UNKNOWN_MODEL, text)
            before = _listed(loaded)
            loaded.counts(message.adapters)
            if any(group.model == message.model for group in self._groups):
                loaded.counts(before)
        except SidemanError as error:
            self._send(wire.Adapted(message.model, message.adapters, str(error.code), error.text))
            return
        for group in self._groups:
            if group.model == message.model:
                group.then = message.adapters
        self._send(wire.Adapted(message.model, message.adapters))

    # Requests

    def _take(self, message: wire.MakeSound) -> None:
        if message.model not in self._models and message.model not in self._loading:
            text = f"the model {message.model} is not loaded"
            self._send(wire.JobFailed(message.job, Code.UNKNOWN_MODEL, text))
            return
        needed_at = self._seconds() if message.due is None else message.due
        self._waiting.append(
            Job(message.job, message.model, message.wish, message.adapters, needed_at)
        )

    def _cancel(self, number: int) -> None:
        self._waiting = [job for job in self._waiting if job.number != number]
        for group in list(self._groups):
            for index, job in enumerate(group.jobs):
                if job is not None and job.number == number:
                    self._drop(group, index)

    def _drop(self, group: Group, index: int) -> None:
        """Go on without one of its takes."""
        group.jobs[index] = None
        group.making.drop(index)
        if not any(group.jobs):
            self._groups.remove(group)

    def _begin(self, job: Job) -> None:
        """Make a take, together with those that wait and can be made beside it."""
        self._waiting.remove(job)
        loaded = self._models[job.model]
        try:
            wanted = [self._wanted(job)]
            check(wanted[0], loaded.model)
        except Exception as error:
            self._fail(job, _plainly(error, "a take"))
            return
        jobs: list[Job | None] = [job]
        for other in list(self._waiting):
            alike = (other.model, other.adapters) == (job.model, job.adapters)
            alike = alike and not job.wish.alone and not other.wish.alone
            if len(jobs) < MOST_AT_ONCE and alike:
                try:
                    also = self._wanted(other)
                    check(also, loaded.model)
                    shares = can_share(wanted[0], also, loaded.model)
                except SidemanError as error:
                    self._waiting.remove(other)
                    self._fail(other, error)
                    continue
                if shares:
                    self._waiting.remove(other)
                    jobs.append(other)
                    wanted.append(also)
        making = Continuation(loaded.model, wanted)
        self._groups.append(Group(job.model, jobs, making, job.adapters, bar=making.bar(0)))
        for each, what in zip(jobs, wanted, strict=True):
            assert each is not None
            self._send(wire.Started(each.number, 0, False))
            if each.wish.lead:
                lead = grid_of(each.wish).length(each.wish.bar, each.wish.lead)
                self._say(each, what.past[len(what.past) - lead :])

    def _wanted(self, job: Job) -> Wanted:
        """A wish with its sound. Raises ``bad-file`` for files that can't be read any more."""
        wish = job.wish
        past = read(wish.past, wish.rate)
        following = read(wish.following, wish.rate) if wish.following else None
        if following is not None and following.shape[1] != past.shape[1]:
            following = None
        job.context_hash = digest(past, wish.text)
        grid = grid_of(wish)
        if wish.lead:
            past = np.concatenate([past, looped(past, grid, wish.bar, wish.lead)])
            following = None
        return Wanted(
            past=past,
            grid=grid,
            bar=wish.bar + wish.lead,
            bars=wish.bars - wish.lead,
            text=wish.text,
            seed=wish.seed,
            candidates=wish.candidates,
            sampling=Sampling(wish.temperature, wish.top_k, wish.top_p, wish.guidance),
            following=following,
            live=wish.live,
        )

    def _advance(self, group: Group) -> None:
        """One small piece of work on a group, and what came of it."""
        loaded = self._models[group.model]
        loaded.used_at = begun = self._seconds()
        try:
            self._cross(group)
            loaded.counts(group.adapters)
            made = group.making.work()
        except Exception as error:
            loaded.model.free()
            self._end(group, _plainly(error, "the take"))
            return
        group.seconds += self._seconds() - begun
        for index, audio in made:
            job = group.jobs[index]
            if job is not None and len(audio):
                self._say(job, audio)
        if group.making.done:
            self._finish(group, loaded)

    def _say(self, job: Job, audio: Audio) -> None:
        job.made += len(audio)
        data = np.ascontiguousarray(audio, "<f4").tobytes()
        job.hashed.update(data)
        self._send(wire.Sound(job.number, audio.shape[1], data, job.hashed.hexdigest()))

    def _cross(self, group: Group) -> None:
        """At a bar line, what was to count from then on counts."""
        index = next(index for index, job in enumerate(group.jobs) if job is not None)
        bar = group.making.bar(index)
        if bar != group.bar:
            group.bar = bar
            if group.then is not None:
                group.adapters, group.then = group.then, None

    def _finish(self, group: Group, loaded: Loaded) -> None:
        self._groups.remove(group)
        frame = float(loaded.model.frame_rate)
        for index, job in enumerate(group.jobs):
            if job is None:
                continue
            report = group.making.report(index) | {
                "licence": loaded.info.licence,
                "adapters": [[name, strength] for name, _, strength in group.adapters],
                "made_beside": len(group.jobs) - 1,
            }
            frames = round(job.made / job.wish.rate * frame)
            self._send(wire.SoundDone(job.number, frames, group.seconds, job.context_hash, report))

    def _end(self, group: Group, error: SidemanError) -> None:
        """Nothing more comes of a group."""
        self._groups.remove(group)
        for index, job in enumerate(group.jobs):
            if job is not None:
                group.making.drop(index)
                self._send(wire.JobFailed(job.number, error.code, error.text))

    def _fail(self, job: Job, error: SidemanError) -> None:
        if job in self._waiting:
            self._waiting.remove(job)
        self._send(wire.JobFailed(job.number, error.code, error.text))


def read(pieces: list[wire.Piece], rate: int) -> Audio:
    """The sound of some files, one after another, at ``rate``: float32 [frames, channels].

    In as many channels as the last of them has. Raises ``bad-file``.
    """
    found: list[Audio] = []
    for piece in reversed(pieces):
        try:
            audio, own = soundfile.read(
                piece.path, piece.frames, piece.first, dtype="float32", always_2d=True
            )
        except (soundfile.LibsndfileError, OSError) as error:
            name = Path(piece.path).name
            raise SidemanError(Code.BAD_FILE, f"{name} can't be read any more: {error}") from error
        if own != rate:
            audio = np.asarray(soxr.resample(audio, own, rate), np.float32)
        channels = found[0].shape[1] if found else audio.shape[1]
        if audio.shape[1] != channels:
            audio = audio.mean(axis=1, keepdims=True).repeat(channels, axis=1)
        found.insert(0, audio)
    return np.concatenate(found) if found else np.zeros((0, 1), np.float32)


def looped(past: Audio, grid: Grid, bar: int, bars: int) -> Audio:
    """What a loop of the last bars of ``past``, which ends at the line of ``bar``, plays next.

    Of as many bars as it lasts, or as there are; of all where there is not one.
    """
    first = grid.line(bar) - len(past)
    source = bars
    while source > 1 and grid.line(bar - source) < first:
        source -= 1
    last = past[-min(len(past), grid.length(bar - source, source)) :]
    samples = grid.length(bar, bars)
    return np.tile(last, (-(-samples // len(last)), 1))[:samples]


def digest(past: Audio, text: str) -> str:
    """A name for what a take follows: equal for equal sound and text, today and tomorrow."""
    named = hashlib.blake2b(past.tobytes(), digest_size=8)
    named.update(text.encode())
    return named.hexdigest()


def device_of(wanted: str) -> str:
    """The device that is meant; ``auto`` is a GPU where there is one."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def memory_of(device: str) -> int:
    """Bytes of a device that models may take where nobody says how many."""
    import psutil
    import torch

    on_gpu = device.startswith("cuda")
    total = torch.cuda.mem_get_info()[1] if on_gpu else psutil.virtual_memory().total
    return int(SHARE * total)


def size_of(folder: Path, info: ModelInfo, device: str) -> int:
    """Bytes that a model will take: its files, and as much more as its numbers become wider."""
    named = [part.file for part in info.weights.parts] or [info.weights.file]
    stored = {"float32": 4, "float16": 2, "bfloat16": 2}.get(info.weights.dtype, 4)
    held = 4 if device == "cpu" else 2
    return sum((folder / name).stat().st_size for name in named) * held // stored


def _listed(loaded: Loaded) -> Adapters:
    return [
        (name, str(loaded.folders[name]), strength)
        for name, strength in loaded.model.adapters.items()
    ]


def _plainly(error: Exception, what: str) -> SidemanError:
    """An error as the musician hears of it. Where memory ran out, that is said."""
    if isinstance(error, SidemanError):
        return error
    text = str(error).split("\n", 1)[0][:200]
    if isinstance(error, MemoryError) or "out of memory" in text or "not enough memory" in text:
        return SidemanError(
            Code.OUT_OF_MEMORY,
            f"not enough memory for {what}: ask for fewer variations or bars, or choose a smaller "
            f"model ({text or 'no more is said'})",
        )
    log.exception("%s could not be made", what)
    return SidemanError(Code.BAD_ARGUMENTS, f"{what} could not be made: {text}")


def main(memory_mb: int = 0) -> int:
    """Talk over stdin and stdout until the other side is gone."""
    # Whatever a library prints must not get between the messages.
    line = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    priority.give_way(priority.FURTHER_STEPS)
    inbox = Inbox(sys.stdin.buffer, wire.for_worker)
    use_processors()
    worker = SoundWorker(Outlet(line).say, budget=memory_mb * MIB or None)
    sweeper = garbage.Sweeper()
    while not inbox.closed:
        message = inbox.take()
        if message is not None:
            worker.handle(message)
        elif not worker.work() and not sweeper.idle(time.monotonic()):
            inbox.wait(LOOK_EVERY if worker.loading else None)
    return 0


def use_processors() -> None:
    """All processors but one, which the music needs."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))


if __name__ == "__main__":
    try:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(0)
