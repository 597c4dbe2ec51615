"""Train RWKV-7 on a token data set: from noise, from a base, as corrections of one, or its state.

Segments of music go by with the state carried from one to the next. A run is a folder with
``run.json``, ``log.jsonl``, TensorBoard events, samples, and ``checkpoint.pt``, which holds all
that decides the steps to come: a run that goes on from it on a CPU does bit for bit what one does
that was never stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from engine.errors import Code, SidemanError
from engine.models.rwkv.torch_model import Rwkv7, State
from training import checkpoint, kernels
from training.audition import Audition
from training.averages import Averages
from training.config import Shape, TrainConfig
from training.data import Lanes, TokenSet
from training.heldout import look
from training.interrupt import Wish
from training.life import recorded
from training.network import make_network, trained
from training.parallel import Group, bf16
from training.record import Record
from training.schedule import Schedule

__all__ = ["Shape", "TrainConfig", "Trainer", "train"]

LOG_EVERY = 10
"""Steps whose mean loss is one line of the log."""


class Trainer:
    """One run, from its start or from its checkpoint.

    ``watch`` is called after each step; ``hear`` gets each sample that was written.
    """

    def __init__(
        self,
        config: TrainConfig,
        watch: Callable[[Trainer], None] = lambda trainer: None,
        hear: Callable[[Path], None] = lambda sample: None,
    ) -> None:
        """Open the data and make or load the network; nothing is written yet.

        Raises ``bad-arguments`` and ``bad-file`` for what cannot be trained.
        """
        self.config = config
        self.data = TokenSet(config.data)
        self.group = Group(config.device)
        self._watch, self._hear = watch, hear
        self.model = make_network(config, self.data).to(self.group.device)
        if kernels.available(self.group.device):
            kernels.use(self.model)
        self.weights = trained(self.model)
        self.averages = Averages(self.weights, config.ema)
        self.optimizer = torch.optim.AdamW(
            _groups(self.model, self.weights, config), lr=config.peak_rate, betas=config.betas,
            fused=True,
        )  # fmt: skip
        self._mine = config.lanes * config.accumulate
        """Lanes of this process."""
        lanes = self._mine * self.group.size
        listens = self.model.sizes.vocab == self.data.vocabulary.size
        augment = config.augment if listens else replace(config.augment, tell=0.0)
        self.lanes = Lanes(self.data, lanes, augment, config.seed)
        self.epoch_tokens = _epoch_tokens(self.data)
        self.schedule = Schedule(
            config.peak_rate, config.rate_end, config.warmup, config.rate_decay, config.minutes,
            config.epochs, config.steps, max(1, round(self.epoch_tokens / (lanes * config.ctx))),
        )  # fmt: skip
        self.state = self.model.zero_state(self._mine).detach()
        self.step = 0
        self.seconds = 0.0
        self.loss: float | None = None
        """Mean training loss of the last logged steps, in nats per token."""
        self.first_loss: float | None = None
        self.heldout: float | None = None
        self.heldout_before: float | None = None
        self.best: dict[str, Any] = {"loss": None, "weights": {}, "step": 0}
        self.ended_early = False
        self._unlogged: list[float] = []
        self._worse = 0
        self._parts = self._looked = 0
        if (config.run / checkpoint.FILE).exists():
            self._load()

    @property
    def progress(self) -> float:
        """How much of the schedule lies behind, 0 to 1."""
        return 1.0 if self.ended_early else self.schedule.progress(self.step, self.seconds)

    @property
    def tokens(self) -> int:
        """Tokens that the model has learned from."""
        return self.step * self._mine * self.group.size * self.config.ctx

    @property
    def trainable(self) -> int:
        """Numbers that are trained."""
        return sum(weight.numel() for weight in self.weights.values())

    def summary(self) -> dict[str, Any]:
        """What ``run.json`` says of how far the run has come."""
        return {
            "mode": self.config.mode,
            "epoch": round(self.tokens / self.epoch_tokens, 3),
            "step": self.step,
            "tokens": self.tokens,
            "progress": round(self.progress, 4),
            "seconds": round(self.seconds, 3),
            "loss": self.loss,
            "loss_first": self.first_loss,
            "loss_last": self.loss,
            "heldout_before": self.heldout_before,
            "heldout_after": self.best["loss"],
            "best_step": self.best["step"],
            "trainable": self.trainable,
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
        compute = self._compiled() if self.config.compiles else self.model
        audition = Audition(self.data, self.config, self._hear) if record else None
        if self.step == 0 and self.heldout_before is None:
            self._evaluate(record, audition)
            self.heldout_before = self.heldout
        begun = time.monotonic() - self.seconds
        saved = time.monotonic()
        while self.progress < 1:
            self._one_step(compute)
            self.seconds = time.monotonic() - begun
            self._log(record)
            self._watch(self)
            stop, self.seconds = self.group.agree(float(wish.stop), self.seconds)
            if self._is_time_to_look():
                pause = time.monotonic()
                self._evaluate(record, audition)
                begun += time.monotonic() - pause
                saved -= 60 * self.config.checkpoint_minutes
            if record and time.monotonic() - saved > 60 * self.config.checkpoint_minutes:
                self._save()
                record.state("running", self.summary())
                saved = time.monotonic()
            if stop:
                break
        if record:
            self._log(record, rest=True)
            self._save()

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

    def _compiled(self) -> Callable[..., tuple[Tensor, State]]:
        """Compile before the clock starts: it takes minutes."""
        compute: Any = torch.compile(self.model, dynamic=False)
        tokens = torch.zeros(self.config.lanes, self.config.ctx, dtype=torch.long)
        with self._precision():
            logits, _ = compute(tokens.to(self.group.device), self._lanes_state(0))
        logits.float().logsumexp(-1).mean().backward()
        self.optimizer.zero_grad(set_to_none=True)
        return compute  # type: ignore[no-any-return]

    def _one_step(self, compute: Callable[..., tuple[Tensor, State]]) -> None:
        """One batch of segments: loss, gradients, weights, averages."""
        rate = self.schedule.rate_at(self.step, self.progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        rows, fresh = self.lanes.segment(self.config.ctx)
        pad = self.data.vocabulary.names.index("PAD_None")
        # What is told is never asked for, so it need not be expected.
        asked = np.where(self.data.vocabulary.is_condition[rows[:, 1:]], pad, rows[:, 1:])
        heard = int((asked != pad).sum())
        first = self.group.rank * self._mine
        segment = torch.from_numpy(rows[first : first + self._mine, :-1]).to(self.group.device)
        targets = torch.from_numpy(asked[first : first + self._mine]).to(self.group.device)
        anew = torch.from_numpy(fresh[first : first + self._mine]).to(self.group.device)
        total, states = torch.zeros((), device=self.group.device), []
        for part in range(self.config.accumulate):
            chosen = slice(part * self.config.lanes, (part + 1) * self.config.lanes)
            state = self._begin(self._lanes_state(part), anew[chosen])
            with self._precision():
                logits, state = compute(segment[chosen].contiguous(), state)
            loss = F.cross_entropy(
                logits.float().flatten(0, 1), targets[chosen].flatten(),
                ignore_index=pad, reduction="sum",
            ) / heard  # fmt: skip
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            states.append(state.detach())
        self.state = State(
            torch.cat([state.shift for state in states], 2),
            torch.cat([state.wkv for state in states], 1),
        )
        self._update(total)

    def _lanes_state(self, part: int) -> State:
        lanes = slice(part * self.config.lanes, (part + 1) * self.config.lanes)
        return State(self.state.shift[:, :, lanes], self.state.wkv[:, lanes])

    def _begin(self, state: State, fresh: Tensor) -> State:
        """The state that segments begin with: the carried one, or where they are fresh the first.

        Through the first one, where it is learned, gradients flow.
        """
        zero = self.model.zero_state(len(fresh))
        return State(
            torch.where(fresh[None, None, :, None], zero.shift, state.shift.float()),
            torch.where(fresh[None, :, None, None, None], zero.wkv, state.wkv),
        )

    def _update(self, loss: Tensor) -> None:
        """Take the step that the gradients of all processes ask for."""
        gradients = [weight.grad for weight in self.weights.values() if weight.grad is not None]
        self.group.add_up([loss, *gradients])
        norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), self.config.clip)
        value = loss.item()
        if not (torch.isfinite(norm) and torch.isfinite(loss)):
            raise SidemanError(
                Code.BAD_ARGUMENTS,
                f"training has left the rails at step {self.step}: lower --lr and go on from the "
                f"last checkpoint with --resume {self.config.run}",
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.averages.follow(self.step)
        self._unlogged.append(value)

    def _precision(self) -> AbstractContextManager[None]:
        if bf16(self.config.precision, self.group.device):
            return torch.autocast(self.group.device.type, torch.bfloat16)
        return nullcontext()

    # What is told and kept

    def _log(self, record: Record | None, rest: bool = False) -> None:
        """A line for the first step, for every tenth, and for the rest at the end."""
        if self.first_loss is None:
            self.first_loss = self._unlogged[0]
        due = rest or self.step == 1 or self.step % LOG_EVERY == 0
        if due and self._unlogged:
            self.loss = sum(self._unlogged) / len(self._unlogged)
            self._unlogged.clear()
            if record:
                rate = self.optimizer.param_groups[0]["lr"]
                record.line(self.step, self.seconds, {"loss": self.loss, "rate": rate})

    def _evaluate(self, record: Record | None, audition: Audition | None) -> None:
        """Look at the held-out pieces with the averaged weights, and keep the best of these."""
        if record is not None:
            with self.averages.in_place():
                found = look(self.model, self.data, self.config, self._precision())
                if audition is not None and self.step:
                    audition.play(self.model, self.step)
            self.heldout = found.loss
            values = {f"heldout/{name}": bits for name, bits in found.bits.items()}
            record.line(self.step, self.seconds, values)
            best = self.best["loss"]
            if best is None or found.loss is None or found.loss < best:
                copies = {name: w.cpu().clone() for name, w in self.averages.values.items()}
                self.best = {"loss": found.loss, "weights": copies, "step": self.step}
                self._worse = 0
            else:
                self._worse += 1
        (worse,) = self.group.agree(float(self._worse))
        self.ended_early = 0 < self.config.patience <= worse

    def _save(self) -> None:
        checkpoint.save(
            self.config.run,
            {
                "model": {name: weight.detach() for name, weight in self.weights.items()},
                "ema": self.averages.values,
                "best": self.best,
                "optimizer": self.optimizer.state_dict(),
                "sizes": self.model.sizes.to_json(),
                "lanes": json.dumps(self.lanes.state()),
                "state": tuple(self.state),
                "random": torch.get_rng_state(),
                "unlogged": self._unlogged,
                "worse": self._worse,
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
                weight.copy_(saved["model"][name])
                self.averages.values[name].copy_(saved["ema"][name])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.lanes.restore(json.loads(saved["lanes"]))
            shift, matrices = saved["state"]
            if shift.shape[2] != self._mine:  # of another number of processes: lanes begin anew
                shift, matrices = self.model.zero_state(self._mine).detach()
            self.state = State(shift.to(self.group.device), matrices.to(self.group.device))
            torch.set_rng_state(saved["random"])
            self.best, self._unlogged = saved["best"], list(saved["unlogged"])
            self._worse, self.ended_early = saved["worse"], saved["ended_early"]
            self.step, self.seconds, self.loss = saved["step"], saved["seconds"], saved["loss"]
            self.first_loss, self.heldout_before = saved["loss_first"], saved["heldout_before"]
            parts, self._looked = saved["looked"]
            self._parts = min(parts, self._part())  # a run may go on for longer than was planned
        except (KeyError, RuntimeError, ValueError) as error:
            raise SidemanError(
                Code.BAD_FILE,
                f"{self.config.run / checkpoint.FILE} is of another run: {error!r}; "
                "give the options and the tokens that it began with, or another folder",
            ) from error


def train(config: TrainConfig) -> Path:
    """Train, or go on with the run in ``config.run``; returns its folder."""
    return Trainer(config).train()


def _groups(model: Rwkv7, weights: dict[str, Tensor], config: TrainConfig) -> list[dict[str, Any]]:
    """Parameter groups: matrices of linear maps decay where they themselves are trained."""
    matrices = {
        id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Linear)
    }
    decaying = [w for w in weights.values() if id(w) in matrices and not config.adapts]
    others = [w for w in weights.values() if id(w) not in matrices or config.adapts]
    groups = ((decaying, config.decay), (others, 0.0))
    return [{"params": part, "weight_decay": decay} for part, decay in groups if part]


def _epoch_tokens(data: TokenSet) -> int:
    """Tokens of all pieces that are trained on. Raises ``bad-file`` where there are none."""
    heard = [name for name, weight in data.weights.items() if weight > 0]
    count = sum(piece.length for name in heard for piece in data.select("train", name))
    if not count:
        raise SidemanError(Code.BAD_FILE, f"{data.folder} holds no pieces to train on")
    return count
