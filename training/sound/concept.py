"""Textual inversion: vectors in the place of words, learned from a few clips, all else as it is.

Gal et al. (arXiv 2208.01618), on MusicGen's T5 (Szawerda 2025). The gradient of what the decoder
foresees of the clips flows through the decoder and T5 into N vectors a concept, and nowhere else.
A run is a folder with ``run.json``, ``log.jsonl``, TensorBoard events, the vectors of each epoch in
``embeddings/``, and ``checkpoint.pt``: a run that goes on from it on a CPU does bit for bit what
one does that was never stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from engine.errors import Code, SidemanError
from engine.models.musicgen import concepts
from engine.models.musicgen.concepts import CONCEPT_JSON
from engine.models.musicgen.model import MusicGen
from training import checkpoint
from training.averages import Averages
from training.files import write_whole
from training.interrupt import Wish
from training.life import recorded
from training.parallel import Group
from training.record import Record
from training.schedule import Schedule
from training.sound.concept_config import ConceptConfig
from training.sound.concept_data import Batch, Lessons, choose
from training.sound.concept_losses import margin, orthogonality
from training.sound.dataset import Clips
from training.sound.delayed import delayed
from training.sound.foreseen import cross_entropy
from training.sound.row_proof import RowProof
from training.sound.words import Words

EMBEDDINGS = "embeddings"
"""The folder of a run in which the vectors of each epoch are."""

LOG_EVERY = 10
"""Steps whose mean loss is one line of the log."""


class Inversion:
    """One run, from its start or from its checkpoint. ``watch`` is called after each step."""

    def __init__(
        self,
        config: ConceptConfig,
        watch: Callable[[Inversion], None] = lambda run: None,
        encoding: Callable[[int, int], None] | None = None,
    ) -> None:
        """Load the model, and make the clips' codes where there are none, as ``encoding`` hears.

        Raises ``bad-arguments`` and ``bad-file`` for what cannot be learned from.
        """
        self.config = config
        self.group = Group(config.device)
        if self.group.size > 1:
            raise SidemanError(
                Code.BAD_ARGUMENTS, "a concept is learned by one process: leave torchrun out"
            )
        clips = Clips.open(config.data)
        self.material = choose(clips, config)
        device = str(self.group.device)
        self.model = MusicGen.load(config.base, device=device, precision=config.precision)
        clips.encode(self.model, encoding)
        self.material = choose(clips, config)  # the same clips, with their codes
        self._clips = clips
        self._watch = watch
        self.words = Words(self.model, dict.fromkeys(self.material.train, config.tokens))
        self.lessons = Lessons(self.material, self.words, config, self.model.frame_rate)
        self.vectors = self._begin().requires_grad_(True)
        """What is learned, ``[R, D]``."""

        self.averages = Averages({"vectors": self.vectors}, config.ema)
        self.optimizer = torch.optim.Adam([self.vectors], lr=config.rate)
        self.schedule = Schedule(
            config.rate, config.rate_end, config.warmup, config.rate_decay, config.minutes,
            config.epochs, config.steps, self.lessons.steps_of_epoch,
        )  # fmt: skip
        self.proof = RowProof(self.words.rows)
        self.step = 0
        self.seconds = 0.0
        self.loss: float | None = None
        """Mean loss of the music over the last logged steps, in nats a code."""

        self.first_loss: float | None = None
        self.heldout: float | None = None
        self.heldout_before: float | None = None
        self.heldout_plain: float | None = None
        """The held-out loss where the concept's name is said in letters, as without learning."""

        self.best: dict[str, Any] = {"loss": None, "vectors": None, "step": 0, "epoch": 0}
        self.ended_early = False
        self._worse = 0
        self._unlogged: list[float] = []
        if (config.run / checkpoint.FILE).exists():
            self._load()

    @property
    def progress(self) -> float:
        """How much of the schedule lies behind, 0 to 1."""
        return 1.0 if self.ended_early else self.schedule.progress(self.step, self.seconds)

    @property
    def epoch(self) -> int:
        """Whole epochs that lie behind."""
        return self.step // self.lessons.steps_of_epoch

    @property
    def trainable(self) -> int:
        """Numbers that are trained."""
        return self.vectors.numel()

    @property
    def chance(self) -> float:
        """The loss of whoever knows nothing of music: all codes being as likely."""
        return math.log(self.model.packed.card)

    def embeddings(self, vectors: Tensor) -> dict[str, concepts.Embeddings]:
        """``[R, D]`` as the vectors of each concept."""
        table = vectors.detach().to("cpu", torch.float32)
        return {word: table[rows].numpy() for word, rows in self.words.rows.items()}

    def summary(self) -> dict[str, Any]:
        """What ``run.json`` says of how far the run has come."""
        return {
            "mode": "concept",
            "epoch": round(self.step / self.lessons.steps_of_epoch, 3),
            "step": self.step,
            "progress": round(self.progress, 4),
            "seconds": round(self.seconds, 3),
            "loss": self.loss,
            "loss_first": self.first_loss,
            "loss_last": self.loss,
            "chance": self.chance,
            "heldout_before": self.heldout_before,
            "heldout_plain": self.heldout_plain,
            "heldout_after": self.best["loss"],
            "best_step": self.best["step"],
            "best_epoch": self.best["epoch"],
            "trainable": self.trainable,
        }

    def train(self) -> Path:
        """Run the schedule to its end; returns the run's folder.

        The first Ctrl-C (or SIGTERM) saves and raises ``cancelled``, the second ends at once.
        """
        with recorded(self) as (record, wish):
            assert record is not None
            self._train(record, wish)
        return self.config.run

    def _train(self, record: Record, wish: Wish) -> None:
        if self.step == 0 and self.heldout_before is None:
            self.heldout_plain = self._look(plain=True)
            self._evaluate(record)
            self.heldout_before = self.heldout
        begun, saved = time.monotonic() - self.seconds, time.monotonic()
        while self.progress < 1 and not wish.stop:
            self._one_step()
            self.seconds = time.monotonic() - begun
            self._log(record)
            if self.step % self.lessons.steps_of_epoch == 0 or self.progress >= 1:
                pause = time.monotonic()
                self._keep_epoch()
                self._evaluate(record)
                self._save()
                record.state("running", self.summary())
                begun += time.monotonic() - pause
                saved = time.monotonic()
            self._watch(self)
            if time.monotonic() - saved > 60 * self.config.checkpoint_minutes:
                self._save()
                record.state("running", self.summary())
                saved = time.monotonic()
        self._log(record, rest=True)
        self._save()

    def _one_step(self) -> None:
        """One batch: the music's loss and what keeps vectors apart, one step of Adam."""
        rate = self.schedule.rate_at(self.step, self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self.lessons.batch(self.step)
        music = self._heard(batch, self.vectors)
        (gradient,) = torch.autograd.grad(music, self.vectors)
        self.proof.see(gradient, batch.concepts)
        rows = tuple(self.words.rows.values())
        beside = self.config.orthogonality * orthogonality(self.vectors, rows)
        beside = beside + margin(self.vectors, rows, self.config.margin)
        if beside.requires_grad:
            gradient = gradient + torch.autograd.grad(beside, self.vectors)[0]
        value = music.item()
        if not (math.isfinite(value) and bool(torch.isfinite(gradient).all())):
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"training has left the rails at step {self.step}: lower --lr and train anew",
            )
        self.vectors.grad = gradient
        if self.config.clip:
            torch.nn.utils.clip_grad_norm_([self.vectors], self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.averages.follow(self.step)
        self._unlogged.append(value)

    def _heard(self, batch: Batch, vectors: Tensor) -> Tensor:
        states, mask = self.words.states(batch.texts, vectors)
        codes = delayed(batch.codes, self.model.delay).to(self.group.device)
        return cross_entropy(self.model.network.decoder, codes, states, mask)

    def _begin(self) -> Tensor:
        """The vectors before training: what ``init`` says, and noise; the seed decides it."""
        config, words = self.config, self.words
        random = torch.Generator().manual_seed(config.seed)
        count = config.tokens * len(words.rows)
        noise = config.noise * torch.randn(count, words.table.shape[1], generator=random)
        if config.init and (Path(config.init) / CONCEPT_JSON).is_file():
            return self._former(Path(config.init))
        middle = words.vectors_of(config.init) if config.init else words.table.detach().float()
        return (middle.mean(0).cpu() + noise).to(self.group.device)

    def _former(self, folder: Path) -> Tensor:
        """The vectors of concepts that were learned before, to be learned on."""
        known = concepts.read(folder)
        parts = []
        for word in self.words.rows:
            if word not in known:
                raise SidemanError(
                    Code.BAD_ARGUMENTS, f"{folder} has no <{word}>; it has {', '.join(known)[:200]}"
                )
            wanted = (self.config.tokens, self.words.table.shape[1])
            if known[word].shape != wanted:
                raise SidemanError(
                    Code.BAD_ARGUMENTS,
                    f"<{word}> of {folder} is {list(known[word].shape)}, and {list(wanted)} is "
                    "wanted: give --tokens as it has, and the base that it was learned with",
                )
            parts.append(torch.from_numpy(known[word].copy()))
        return torch.cat(parts).to(self.group.device)

    # What is told and kept

    def _log(self, record: Record, rest: bool = False) -> None:
        if self.first_loss is None and self._unlogged:
            self.first_loss = self._unlogged[0]
        due = rest or self.step == 1 or self.step % LOG_EVERY == 0
        if due and self._unlogged:
            self.loss = sum(self._unlogged) / len(self._unlogged)
            self._unlogged.clear()
            rate = self.optimizer.param_groups[0]["lr"]
            record.line(self.step, self.seconds, {"loss": self.loss, "rate": rate})

    @torch.no_grad()
    def _look(self, plain: bool = False) -> float | None:
        """The loss of held-out pieces, in nats a code; None where there are none."""
        total, weight = 0.0, 0
        for batch in self.lessons.held_out(plain):
            codes = sum(clip.numel() for clip in batch.codes)
            total += codes * self._heard(batch, self.vectors).item()
            weight += codes
        return total / weight if weight else None

    def _evaluate(self, record: Record) -> None:
        """Look at the held-out pieces with the averaged vectors, and keep the best of these."""
        with self.averages.in_place():
            self.heldout = self._look()
        if self.heldout is not None:
            record.line(self.step, self.seconds, {"heldout": self.heldout})
        best = self.best["loss"]
        if best is None or self.heldout is None or self.heldout < best:
            self.best = {
                "loss": self.heldout,
                "vectors": self.averages.values["vectors"].cpu().clone(),
                "step": self.step,
                "epoch": self.epoch,
            }
            self._worse = 0
        else:
            self._worse += 1
        self.ended_early = 0 < self.config.patience <= self._worse

    def _keep_epoch(self) -> None:
        """Write the vectors of this epoch, in one move."""
        folder = self.config.run / EMBEDDINGS
        folder.mkdir(exist_ok=True)
        table = self.averages.values["vectors"].cpu()
        parts = {word: table[rows].clone() for word, rows in self.words.rows.items()}
        number = -(-self.step // self.lessons.steps_of_epoch)
        write_whole(folder / f"{number:04d}.safetensors", save(parts))

    def _save(self) -> None:
        checkpoint.save(
            self.config.run,
            {
                "vectors": self.vectors.detach().cpu(),
                "ema": self.averages.values["vectors"].cpu(),
                "words": list(self.words.rows),
                "best": self.best,
                "optimizer": self.optimizer.state_dict(),
                "unlogged": self._unlogged,
                "worse": self._worse,
                "ended_early": self.ended_early,
                **self.summary(),
            },
        )

    @torch.no_grad()
    def _load(self) -> None:
        """All as it was when the checkpoint was written."""
        saved = checkpoint.load(self.config.run)
        try:
            if saved["words"] != list(self.words.rows):
                raise ValueError(f"it learns {', '.join(saved['words'])[:80]}")
            self.vectors.copy_(saved["vectors"])
            self.averages.values["vectors"].copy_(saved["ema"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.best, self._unlogged = saved["best"], list(saved["unlogged"])
            self._worse, self.ended_early = saved["worse"], saved["ended_early"]
            self.step, self.seconds, self.loss = saved["step"], saved["seconds"], saved["loss"]
            self.first_loss, self.heldout_before = saved["loss_first"], saved["heldout_before"]
            self.heldout_plain = saved["heldout_plain"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise SidemanError(
                Code.BAD_FILE,
                f"{self.config.run / checkpoint.FILE} is of another run: {error}; "
                "give the options and the data that it began with, or another folder",
            ) from error
