"""Runs of ``sideman train audio`` that the tests begin: quick, and without chance."""

from __future__ import annotations

import multiprocessing
import os
import sys
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from training.sound.audio_config import TARGETS, AudioConfig
from training.sound.train_audio import AudioTrainer, train


def config_for(data: Path, run: Path, base: Path, **changes: Any) -> AudioConfig:
    """A quick run without chance, but for what ``changes`` says."""
    quick = AudioConfig(
        data, run, base, target=TARGETS["dreambooth"], alpha=16.0, dropout=0.0, steps=12,
        rate=0.01, warmup=2, device="cpu", precision="fp32", patience=0,
    )  # fmt: skip
    return replace(quick, **changes)


def weights(trainer: AudioTrainer) -> dict[str, Any]:
    """Copies of what is trained."""
    return {name: weight.detach().clone() for name, weight in trainer.weights.items()}


def in_a_process(config: AudioConfig, **environment: str) -> BaseProcess:
    """A process that trains, begun with these variables; a copy of this one where that is safe."""
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    process: BaseProcess = context.Process(target=_train, args=(config, environment), daemon=True)
    process.start()
    return process


def _train(config: AudioConfig, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    train(config)
