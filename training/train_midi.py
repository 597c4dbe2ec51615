"""Train RWKV-7 on a token data set.

The plain trainer: one process, AdamW, a schedule over wall-clock time or steps, segments of music
with the state carried from one to the next. A run is a folder with ``run.json``, ``log.jsonl``,
TensorBoard events and ``checkpoint.pt``, from which it resumes.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom

from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.torch_model import Rwkv7, State
from training.data import Augment, Lanes, TokenSet
from training.evaluate import mean_bits


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model but for its vocabulary, which comes from the data."""

    layers: int = 4
    embed: int = 256
    head: int = 64
    ffn: int = 1024
    decay_rank: int = 32
    iclr_rank: int = 32
    value_rank: int = 32
    gate_rank: int = 64


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """All that decides a run."""

    data: Path
    run: Path
    shape: Shape = field(default_factory=Shape)
    lanes: int = 8
    ctx: int = 1024
    """Tokens through which gradients flow; the state reaches further back."""

    minutes: float | None = None
    """The schedule's length in time: however fast the machine is, it ends annealed."""

    steps: int | None = None
    """The schedule's length in steps, where ``minutes`` is not given; a hard limit where it is."""

    rate: float = 1.5e-3
    rate_end: float = 0.05
    """The last learning rate as a part of ``rate``; the way down is a cosine."""

    warmup: int = 100
    betas: tuple[float, float] = (0.9, 0.99)
    decay: float = 0.1
    """Weight decay of the matrices."""

    clip: float = 1.0
    ema: float = 0.995
    augment: Augment = field(default_factory=Augment)
    seed: int = 0
    device: str = "cpu"
    bf16: bool = True
    compile: bool = True
    checkpoint_minutes: float = 5.0
    heldout_tokens: int = 4096
    """Tokens of each held-out piece that the checks during training read."""


class Trainer:
    """One run, from its start or from its checkpoint."""

    def __init__(self, config: TrainConfig) -> None:
        """Open the data and make or load the model; nothing is written yet."""
        if config.minutes is None and config.steps is None:
            raise ValueError("a run needs minutes or steps")
        self.config = config
        self.data = TokenSet(config.data)
        torch.manual_seed(config.seed)
        self.model = Rwkv7(Sizes(vocab=self.data.vocabulary.size, **asdict(config.shape)))
        self.model.initialise()
        self.model.to(config.device)
        self.ema = {name: w.detach().clone() for name, w in self.model.named_parameters()}
        self.optimizer = torch.optim.AdamW(
            _groups(self.model, config.decay), lr=config.rate, betas=config.betas, fused=True
        )
        self.step = 0
        self.seconds = 0.0
        self.tokens = 0
        self.checkpoint = config.run / "checkpoint.pt"
        if self.checkpoint.exists():
            self._load()
        self.lanes = Lanes(self.data, config.lanes, config.augment, config.seed + self.step)

    @property
    def progress(self) -> float:
        """How much of the schedule lies behind, 0 to 1."""
        if self.config.minutes is not None:
            done = self.seconds / (60 * self.config.minutes)
            if self.config.steps is not None:
                done = max(done, float(self.step >= self.config.steps))
        else:
            done = self.step / cast(int, self.config.steps)
        return min(1.0, done)

    def train(self) -> Path:
        """Run the schedule to its end; returns the run's folder."""
        self.config.run.mkdir(parents=True, exist_ok=True)
        record = _Record(self.config, self.model.sizes)
        record.run("running", self)
        try:
            self._train(record)
        except KeyboardInterrupt:
            self._save()
            record.run("stopped", self)
            raise
        except BaseException as error:
            record.run("failed", self, error=repr(error))
            raise
        record.run("completed", self)
        return self.config.run

    def _train(self, record: _Record) -> None:
        compute = torch.compile(self.model, dynamic=False) if self.config.compile else self.model
        state = self.model.zero_state(self.config.lanes)
        if self.config.compile:
            self._warm(compute, state)
        saved = begun = time.monotonic() - self.seconds
        saved += self.seconds
        losses: list[Tensor] = []
        while self.progress < 1:
            loss, state = self._one_step(compute, state)
            losses.append(loss)
            self.step += 1
            self.tokens += self.config.lanes * self.config.ctx
            self.seconds = time.monotonic() - begun
            if self.step % 20 == 0:
                record.log(self, torch.stack(losses).mean().item())
                losses.clear()
            if self.seconds + begun - saved > 60 * self.config.checkpoint_minutes:
                self._save()
                record.heldout(self, self.heldout())
                record.run("running", self)
                saved = time.monotonic()
                self.seconds = saved - begun
        self._save()
        record.heldout(self, self.heldout())

    def _warm(self, compute: Any, state: State) -> None:
        """Compile before the clock starts: it takes minutes."""
        tokens = torch.zeros(self.config.lanes, self.config.ctx, dtype=torch.long)
        with self._precision():
            logits, _ = compute(tokens.to(self.config.device), state)
        logits.float().logsumexp(-1).mean().backward()
        self.optimizer.zero_grad(set_to_none=True)

    def _one_step(self, compute: Any, state: State) -> tuple[Tensor, State]:
        config = self.config
        rate = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        rows, fresh = self.lanes.segment(config.ctx)
        segment = torch.from_numpy(rows).to(config.device)
        keep = torch.from_numpy(~fresh).to(config.device).float()
        state = State(
            state.shift * keep[None, None, :, None], state.wkv * keep[None, :, None, None, None]
        )
        with self._precision():
            logits, state = compute(segment[:, :-1].contiguous(), state)
        loss = F.cross_entropy(logits.float().flatten(0, 1), segment[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            averages = list(self.ema.values())
            torch._foreach_lerp_(averages, list(self.model.parameters()), 1 - config.ema)
        return loss.detach(), state.detach()

    def _rate(self) -> float:
        """Linear warm-up, then a cosine down to ``rate_end`` of the peak."""
        config = self.config
        cosine = 0.5 * (1 + math.cos(math.pi * self.progress))
        warm = min(1.0, (self.step + 1) / config.warmup)
        return config.rate * warm * (config.rate_end + (1 - config.rate_end) * cosine)

    def _precision(self) -> Any:
        if self.config.bf16:
            return torch.autocast(self.config.device.partition(":")[0], torch.bfloat16)
        return nullcontext()

    def heldout(self) -> dict[str, float]:
        """Bits per token on the first ``heldout_tokens`` of every held-out piece, by collection."""
        result = {}
        for name in self.data.weights:
            pieces = self.data.select("heldout", name)[:8]
            with self._precision():
                result[name] = mean_bits(
                    self.model, self.data, pieces, limit=self.config.heldout_tokens
                )
        return result

    def _save(self) -> None:
        """Replace the checkpoint in one move, so that a killed run keeps the former one."""
        part = self.checkpoint.with_suffix(".part")
        torch.save(
            {
                "model": self.model.state_dict(),
                "ema": self.ema,
                "optimizer": self.optimizer.state_dict(),
                "sizes": self.model.sizes.to_json(),
                "step": self.step,
                "seconds": self.seconds,
                "tokens": self.tokens,
            },
            part,
        )
        os.replace(part, self.checkpoint)

    def _load(self) -> None:
        """Weights, optimizer and clock as they were; lanes start with other pieces."""
        saved = torch.load(self.checkpoint, map_location=self.config.device, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.ema = saved["ema"]
        self.step, self.seconds, self.tokens = saved["step"], saved["seconds"], saved["tokens"]


def train(config: TrainConfig) -> Path:
    """Train, or go on with the run in ``config.run``; returns its folder."""
    return Trainer(config).train()


def _groups(model: Rwkv7, decay: float) -> Iterator[dict[str, Any]]:
    """Parameter groups: matrices of linear maps decay, vectors, embeddings and ranks do not."""
    matrices = [m.weight for m in model.modules() if isinstance(m, torch.nn.Linear)]
    known = {id(weight) for weight in matrices}
    yield {"params": matrices, "weight_decay": decay}
    yield {
        "params": [weight for weight in model.parameters() if id(weight) not in known],
        "weight_decay": 0.0,
    }


class _Record:
    """What a run leaves for those who watch it: ``run.json``, ``log.jsonl`` and TensorBoard."""

    def __init__(self, config: TrainConfig, sizes: Sizes) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder = config.run
        self._config = {**asdict(config), "sizes": sizes.to_json()}
        self._started = time.time()
        self._board = SummaryWriter(str(config.run))

    def run(self, status: str, trainer: Trainer, error: str | None = None) -> None:
        """Write ``run.json`` anew, in one move."""
        ended = time.time() if status in ("completed", "failed", "stopped") else None
        table = {
            "status": status,
            "step": trainer.step,
            "tokens": trainer.tokens,
            "progress": trainer.progress,
            "started": self._started,
            "ended": ended,
            "error": error,
            "pid": os.getpid(),
            "config": self._config,
        }
        part = self._folder / "run.json.part"
        part.write_text(json.dumps(table, indent=1, default=str), encoding="utf-8")
        os.replace(part, self._folder / "run.json")

    def log(self, trainer: Trainer, loss: float) -> None:
        """Training loss in nats per token."""
        self._line(trainer, {"loss": loss, "rate": trainer.optimizer.param_groups[0]["lr"]})

    def heldout(self, trainer: Trainer, bits: dict[str, float]) -> None:
        """Held-out bits per token by collection."""
        self._line(trainer, {f"heldout/{name}": value for name, value in bits.items()})

    def _line(self, trainer: Trainer, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(name, value, trainer.step)
        line = {"step": trainer.step, "seconds": round(trainer.seconds, 1)} | values
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
