"""Train a LoRA of a MusicGen on an audio data set, and prove on the way that it learns.

A run is a folder with ``run.json``, ``log.jsonl``, TensorBoard events, and ``checkpoint.pt``, which
holds all that decides the steps to come: a run that goes on from it on a CPU does bit for bit what
one does that was never stopped. Importing this module imports torch, transformers and peft.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import Code, SidemanError
from training import checkpoint
from training.interrupt import Wish
from training.life import recorded
from training.parallel import Group
from training.record import Record
from training.schedule import Schedule
from training.sound.audio_config import AudioConfig
from training.sound.batches import Batches, Heard
from training.sound.dataset import Clip, Clips, Told
from training.sound.delayed import asked
from training.sound.heldout import look
from training.sound.learner import Learner
from training.sound.proof import Proof, chance, doubt

LOG_EVERY = 10
"""Steps whose mean loss is one line of the log."""

UNFIT = 20
"""So many steps in a row whose fp16 gradients overflow end a run."""

Tell = Callable[[str], None]
"""Told what a musician should know."""


class AudioTrainer:
    """One run, from its start or from its checkpoint. ``watch`` is called after each step."""

    def __init__(
        self,
        config: AudioConfig,
        watch: Callable[[AudioTrainer], None] = lambda trainer: None,
        encoding: Told | None = None,
        tell: Tell = lambda words: None,
    ) -> None:
        """Open the data and load the base; what codes are missing are made, as ``encoding`` hears.

        Raises ``bad-arguments``, ``bad-file`` and ``unknown-model`` for what cannot be trained.
        """
        self.config = config
        self._watch, self._tell = watch, tell
        self.group = Group(config.device)
        if self.group.size > 1 and config.stages > 1:
            raise SidemanError(
                Code.BAD_ARGUMENTS, "--split-layers and torchrun exclude each other: choose one"
            )
        clips = Clips.open(config.data)
        torch.manual_seed(config.seed)
        self.learner = Learner(config, clips, self.group, encoding)
        if not self.group.leads:
            clips = Clips.open(config.data)  # with the codes that the first process has made
        pattern = self.learner.model.delay
        self.train_clips = _codes(clips.train, pattern.longest)
        self.held_out = _codes(_spread(clips.held_out, config.heldout_clips), pattern.longest)
        if not self.train_clips:
            raise SidemanError(Code.BAD_FILE, f"{config.data} holds no clips to train on")
        self.frame_rate = self.learner.model.frame_rate
        self.most = max(pattern.longest + 1, round(config.seconds * self.frame_rate))
        self._mine = config.batch * config.accumulate
        """Clips of a step in this process."""

        self.batches = Batches(
            [codes.shape[1] for _, codes in self.train_clips], self._mine * self.group.size,
            most=self.most, seed=config.seed, withheld=config.condition_dropout,
        )  # fmt: skip
        self.schedule = Schedule(
            config.rate, config.rate_end, config.warmup, config.rate_decay, config.minutes,
            config.epochs, config.steps, self.batches.steps_of_epoch,
        )  # fmt: skip
        self.weights = self.learner.lora.weights
        self.optimizer = torch.optim.AdamW(
            self.weights.values(), lr=config.rate, betas=config.betas, weight_decay=config.decay,
            fused=True,
        )  # fmt: skip
        self.scaler = torch.amp.GradScaler(
            self.group.device.type, enabled=self.learner.dtype == torch.float16
        )
        self.proof = Proof(self.weights)
        self.step = 0
        self.seconds = 0.0
        self.heard_seconds = 0.0
        """Sound that was learned from, in seconds."""

        self.loss: float | None = None
        """Mean training loss of the last logged steps, in nats a code."""

        self.first_loss: float | None = None
        self.heldout: float | None = None
        self.heldout_before: float | None = None
        """That of the base: before the first step, corrections are nothing."""

        self.best: dict[str, Any] = {"loss": None, "weights": {}, "step": 0}
        self.ended_early = False
        self._gradient = 0.0
        self._unlogged: list[float] = []
        self._worse = self._overflows = 0
        self._parts = self._looked = 0
        if (config.run / checkpoint.FILE).exists():
            self._load()

    @property
    def progress(self) -> float:
        """How much of the schedule lies behind, 0 to 1."""
        return 1.0 if self.ended_early else self.schedule.progress(self.step, self.seconds)

    def summary(self) -> dict[str, Any]:
        """What ``run.json`` says of how far the run has come."""
        share = self.learner.lora.share
        return {
            "mode": "lora",
            "epoch": round(self.step * self.batches.size / len(self.train_clips), 3),
            "step": self.step,
            "progress": round(self.progress, 4),
            "seconds": round(self.seconds, 3),
            "heard_seconds": round(self.heard_seconds, 3),
            "loss": self.loss,
            "loss_first": self.first_loss,
            "loss_last": self.loss,
            "chance": chance(self.learner.card),
            "heldout_before": self.heldout_before,
            "heldout_after": self.best["loss"],
            "best_step": self.best["step"],
            "trainable": share.trained,
            "share": share.to_json(),
            "matrices_with_gradient": [self.proof.seen, self.proof.count],
        }

    def train(self) -> Path:
        """Run the schedule to its end; returns the run's folder.

        The first Ctrl-C (or SIGTERM) saves and raises ``cancelled``, the second ends at once.
        """
        try:
            with recorded(self, self.group.leads) as (record, wish):
                self._train(record, wish)
        finally:
            self.group.close()
        return self.config.run

    def _train(self, record: Record | None, wish: Wish) -> None:
        if self.step == 0 and self.heldout_before is None:
            self._evaluate(record)
            self.heldout_before = self.heldout
        begun = time.monotonic() - self.seconds
        saved = time.monotonic()
        while self.progress < 1:
            self.one_step()
            self.seconds = time.monotonic() - begun
            self._log(record)
            self._watch(self)
            stop, self.seconds = self.group.agree(float(wish.stop), self.seconds)
            if self._is_time_to_look():
                pause = time.monotonic()
                self._evaluate(record)
                begun += time.monotonic() - pause
                saved -= 60 * self.config.checkpoint_minutes
            if record and time.monotonic() - saved >= 60 * self.config.checkpoint_minutes:
                self.save(self.config.run)
                record.state("running", self.summary())
                saved = time.monotonic()
            if stop:
                break
        if record:
            self._log(record, rest=self.progress >= 1)
            self.save(self.config.run)

    def _is_time_to_look(self) -> bool:
        """Whether another part of the run, of those that an evaluation ends, lies behind."""
        parts = self._part()
        due = parts > self._parts and self.step - self._looked >= self.config.look_every
        if due or self.progress >= 1:
            self._parts, self._looked = parts, self.step
            return True
        return False

    def _part(self) -> int:
        return int(self.progress * self.config.evaluations)

    def one_step(self) -> None:
        """One batch of clips: loss, gradients, weights. Raises where the run does not learn."""
        rate = self.schedule.rate_at(self.step, self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        chosen = self.batches.of(self.step)
        counts = asked([one.frames for one in chosen], self.learner.model.delay)
        self.learner.lora.network.train()
        first = self.group.rank * self._mine
        mine = chosen[first : first + self._mine]
        try:
            total = self._backward(mine, counts)
        except torch.OutOfMemoryError as error:
            raise SidemanError(
                Code.OUT_OF_MEMORY,
                "there is too little memory for a step: a smaller --batch with --accumulate, fewer "
                "--seconds, or --grad-checkpoint needs less; --estimate says how much",
            ) from error
        said = any(self._text(one) is not None for one in chosen)
        self._update(total, with_prompts=said)
        self.heard_seconds += sum(one.frames for one in chosen) / self.frame_rate

    def _backward(self, mine: list[Heard], counts: Tensor) -> Tensor:
        """Add up the gradients of this process's clips; returns their part of the step's loss."""
        total = torch.zeros((), device=self.learner.end)
        for part in range(0, len(mine), self.config.batch):
            codes, texts = self._heard(mine[part : part + self.config.batch])
            sums = self.learner.losses(codes, texts)
            loss = (sums / counts.to(sums.device)).mean()
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _heard(self, chosen: list[Heard]) -> tuple[list[Tensor], list[str | None]]:
        parts = [
            self.train_clips[one.clip][1][:, one.begin : one.begin + one.frames].long()
            for one in chosen
        ]
        return parts, [self._text(one) for one in chosen]

    def _text(self, heard: Heard) -> str | None:
        """What is said of a clip, None where that is withheld or nothing."""
        text = self.train_clips[heard.clip][0].prompt
        return text if not heard.silent and self.learner.prompts.says(text) else None

    def _update(self, loss: Tensor, with_prompts: bool) -> None:
        """Take the step that the gradients of all processes ask for."""
        gradients = [weight.grad for weight in self.weights.values() if weight.grad is not None]
        self.group.add_up([loss, *gradients])
        self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), self.config.clip).item()
        value = loss.item()
        if math.isfinite(norm) and math.isfinite(value):
            self.proof.look(norm, with_prompts)
            self._overflows = 0
        elif self.scaler.is_enabled() and math.isfinite(value) and self._overflows < UNFIT:
            self._overflows += 1  # the scaler leaves this step out, and scales less from now on
        else:
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"training has left the rails at step {self.step}: lower --lr or take another "
                "--precision, and train anew",
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._gradient = norm
        self._unlogged.append(value)

    # What is told and kept

    def _log(self, record: Record | None, rest: bool = False) -> None:
        """A line for the first step, for every tenth, and for the rest at the end."""
        if self.first_loss is None and self._unlogged:
            self.first_loss = self._unlogged[0]
            if doubtful := doubt(self.first_loss, self.learner.card):
                self._tell(doubtful)
        due = rest or self.step == 1 or self.step % LOG_EVERY == 0
        if due and self._unlogged:
            self.loss = sum(self._unlogged) / len(self._unlogged)
            self._unlogged.clear()
            if record:
                values = {
                    "loss": self.loss,
                    "rate": self.optimizer.param_groups[0]["lr"],
                    "gradient": self._gradient,
                    "times real time": self.heard_seconds / max(self.seconds, 1e-9),
                }
                record.line(self.step, self.seconds, values)

    def _evaluate(self, record: Record | None) -> None:
        """Look at the held-out clips, and keep the best weights for them."""
        if record is not None:
            found = look(self.learner, self.held_out, self.most, self.config.batch)
            self.heldout = None if found is None else found.loss
            if found is not None:
                record.line(self.step, self.seconds, found.values())
            best = self.best["loss"]
            if best is None or self.heldout is None or self.heldout < best:
                copies = {name: w.detach().cpu().clone() for name, w in self.weights.items()}
                self.best = {"loss": self.heldout, "weights": copies, "step": self.step}
                self._worse = 0
            else:
                self._worse += 1
        (worse,) = self.group.agree(float(self._worse))
        self.ended_early = 0 < self.config.patience <= worse

    def save(self, folder: Path) -> None:
        """Write all that decides the steps to come into ``folder``, in one move."""
        checkpoint.save(
            folder,
            {
                "weights": {name: weight.detach() for name, weight in self.weights.items()},
                "best": self.best,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "proof": self.proof.state(),
                "random": torch.get_rng_state(),
                "random_cuda": _cuda_random(self.group.device),
                "unlogged": self._unlogged,
                "gradient": self._gradient,
                "worse": self._worse,
                "overflows": self._overflows,
                "looked": (self._parts, self._looked),
                "ended_early": self.ended_early,
                **self.summary(),
            },
        )

    @torch.no_grad()
    def _load(self) -> None:
        """All as it was when the checkpoint was written."""
        saved = checkpoint.load(self.config.run)
        try:
            for name, weight in self.weights.items():
                weight.copy_(saved["weights"][name])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.scaler.load_state_dict(saved["scaler"])
            self.proof.restore(saved["proof"])
            torch.set_rng_state(saved["random"])
            if saved["random_cuda"] is not None and self.group.device.type == "cuda":
                torch.cuda.set_rng_state(saved["random_cuda"], self.group.device)
            self.best, self._unlogged = saved["best"], list(saved["unlogged"])
            self._gradient, self._overflows = saved["gradient"], saved["overflows"]
            self._worse, self.ended_early = saved["worse"], saved["ended_early"]
            self.step, self.seconds, self.loss = saved["step"], saved["seconds"], saved["loss"]
            self.heard_seconds = saved["heard_seconds"]
            self.first_loss, self.heldout_before = saved["loss_first"], saved["heldout_before"]
            parts, self._looked = saved["looked"]
            self._parts = min(parts, self._part())  # a run may go on for longer than was planned
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise SidemanError(
                Code.BAD_FILE,
                f"{self.config.run / checkpoint.FILE} is of another run: {error!r}; "
                "give the options and the data that it began with, or another folder",
            ) from error


def train(config: AudioConfig) -> Path:
    """Train, or go on with the run in ``config.run``; returns its folder."""
    return AudioTrainer(config).train()


def _codes(clips: list[Clip], delay: int) -> list[tuple[Clip, Tensor]]:
    """Clips and their codes int16 ``[K, T]``; those that end before each codebook began are out."""
    found = ((clip, torch.from_numpy(clip.codes()).short()) for clip in clips)
    return [(clip, codes) for clip, codes in found if codes.shape[1] > delay]


def _spread(clips: list[Clip], most: int) -> list[Clip]:
    """At most so many, from all over."""
    return clips[:: math.ceil(len(clips) / most) or 1]


def _cuda_random(device: torch.device) -> Tensor | None:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else None
