"""How long a run will take, and how much memory, from a few of its own steps."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import psutil
import torch

from training.sound.heldout import look

if TYPE_CHECKING:
    from training.sound.train_audio import AudioTrainer

STEPS = 5
"""Steps that are measured, behind one that warms up."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will need, at most: it may end early."""

    steps: int
    looks: int
    """How often the held-out clips are heard, before the first step too."""

    step_seconds: float
    look_seconds: float
    """For the held-out clips, and for the checkpoint that is written then."""

    seconds: float
    """From the first step to the last, when model and data are loaded."""

    memory: int
    """Bytes at the most: of the GPU's memory where there is one, of the process's otherwise."""

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds), 60)
        return (
            f"about {minutes} min {seconds:02} s and {self.memory / 2**30:.1f} GiB: {self.steps} "
            f"steps of {self.step_seconds:.2f} s, {self.looks} looks of {self.look_seconds:.2f} s"
        )


def estimate(trainer: AudioTrainer) -> Estimate:
    """Take the first steps of a run that is not begun, and measure; the trainer is spent then.

    Nothing is left behind. A step costs by its places: clips times the longest one's frames.
    """
    for _ in range(2):  # the first one warms up
        begun = time.perf_counter()
        look(trainer.learner, trainer.held_out, trainer.most, trainer.config.batch)
    looking = _since(begun, trainer)
    costs = []
    for number in range(STEPS + 1):
        begun = time.perf_counter()
        trainer.one_step()
        if number:
            costs.append(_since(begun, trainer) / _places(trainer, number))
    each = median(costs)
    with tempfile.TemporaryDirectory(prefix="sideman-") as folder:
        begun = time.perf_counter()
        trainer.save(Path(folder))
        looking += _since(begun, trainer)
    steps, looks = _length(trainer)
    places = sum(_places(trainer, step) for step in range(steps))
    timed = trainer.config.minutes
    seconds = each * places
    if timed is not None:
        steps = min(steps, max(1, round(steps * 60 * timed / seconds)))
        seconds = min(60 * timed, seconds)
    return Estimate(
        steps=steps,
        looks=looks,
        step_seconds=seconds / max(1, steps),
        look_seconds=looking,
        seconds=seconds + looks * looking,
        memory=memory(trainer.group.device),
    )


def memory(device: torch.device) -> int:
    """The most bytes that were in use so far: of a GPU, or of this process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if (status := Path("/proc/self/status")).exists():
        # Not getrusage, which on Linux counts what the process that began this one had.
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
        if found:
            return 1024 * int(found[1])
    import resource  # not there on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)


def _length(trainer: AudioTrainer) -> tuple[int, int]:
    """Steps of the whole schedule, and looks at the held-out clips on the way."""
    schedule, config = trainer.schedule, trainer.config
    limits = []
    if schedule.epochs is not None:
        limits.append(max(1, round(schedule.epochs * schedule.steps_of_epoch)))
    if schedule.steps is not None:
        limits.append(schedule.steps)
    steps = min(limits) if limits else round(schedule.steps_of_epoch * 1000)
    looks = 1 + max(1, min(config.evaluations, steps // max(1, config.look_every)))
    return steps, looks


def _places(trainer: AudioTrainer, step: int) -> int:
    """Places of a step's batches, those of this process."""
    chosen, batch = trainer.batches.of(step), trainer.config.batch
    mine = chosen[: len(chosen) // trainer.group.size]
    parts = [mine[begin : begin + batch] for begin in range(0, len(mine), batch)]
    return sum(len(part) * max(one.frames for one in part) for part in parts)


def _since(begun: float, trainer: AudioTrainer) -> float:
    if trainer.group.device.type == "cuda":
        torch.cuda.synchronize(trainer.group.device)
    return time.perf_counter() - begun
