"""Training a LoRA of a MusicGen: seconds a step beside a plain loop of transformers and peft.

    python bench/audio_training.py
    python bench/audio_training.py --size small --clips 4 --seconds 5 --batch 1
    python bench/audio_training.py --size small --device cuda --steps 20 --clips 100

All hear the same clips with the same prompts, corrections, optimiser, clipping and precision. The
plain loop reads, resamples nothing, and has EnCodec and T5 work in each step, as the published
trainers do; the same with kept codes shows what of the difference these are. All take turns, step
by step, so that a busy machine is as busy for each. What memory each one needs at most is measured
in a process of its own. Then the run's own estimate is held against a run.

Models are of random weights: a step costs the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import peft
import soundfile
import torch
from msgspec.structs import replace as changed
from torch.utils.tensorboard import SummaryWriter
from transformers import PreTrainedTokenizerFast

from bench import audio_models
from bench.tools import ROOT, number, table, verdict
from engine.models.folder import MODEL_JSON, write_description
from engine.models.musicgen import tiny
from engine.models.musicgen.checkpoint import quiet
from engine.models.musicgen.describe import describe
from engine.models.musicgen.model import MusicGen
from training.sound.audio_config import AudioConfig
from training.sound.dataset import RATE, Clips
from training.sound.estimate import estimate, memory
from training.sound.train_audio import AudioTrainer

OURS, PLAIN, KEPT = "sideman", "transformers + peft", "transformers + peft, codes kept"
FASTER, OFF = 2.0, 0.15
"""The goals: so many times the plain loop, and an estimate that is off by no more than that."""

Step = Callable[[], float]


def write_model(parent: Path, size: str) -> Path:
    """A folder of a MusicGen of random weights, of a published size or tiny."""
    if size == "tiny":
        return tiny.write(parent)
    folder = parent / f"musicgen-{size}-random"
    with quiet():
        network: Any = audio_models.make(size, "cpu").network.float()
        network.save_pretrained(folder)
        wrapper: Any = PreTrainedTokenizerFast
        wrapper(
            tokenizer_object=tiny.tokenizer(), pad_token="<pad>", eos_token="</s>",
            unk_token="<unk>",
        ).save_pretrained(folder)  # fmt: skip
    write_description(folder / MODEL_JSON, changed(describe(folder), licence="Apache-2.0"))
    return folder


def write_data(folder: Path, clips: int, seconds: float) -> Path:
    """Clips of noise that swells and fades, one in ten of them held out."""
    (folder / "clips").mkdir(parents=True)
    dice, rows = np.random.default_rng(0), []
    for count in range(clips):
        at = np.arange(round(seconds * RATE)) / RATE
        sound = 0.2 * np.sin(at * (1 + count)) * dice.standard_normal(len(at))
        name = f"clips/{count + 1:06d}.wav"
        soundfile.write(folder / name, sound.astype(np.float32), RATE, subtype="PCM_16")
        split = "held-out" if count % 10 == 9 else "train"
        rows.append({"audio": name, "prompt": f"slow waves of noise, number {count}",
                     "seconds": seconds, "split": split})  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(rows))
    (folder / "data.json").write_text(json.dumps({"format": 1, "rate": RATE, "channels": 1}))
    return folder


def ours(config: AudioConfig) -> Step:
    """A step of `sideman train audio`."""
    trainer = AudioTrainer(config)

    def step() -> float:
        trainer.one_step()
        return trainer._unlogged[-1]

    return step


def plain(config: AudioConfig, kept: bool) -> Step:
    """The same step as it is commonly written, with transformers' own labels."""
    device = torch.device(config.device)
    base = MusicGen.load(config.base, device=config.device, precision="float32")
    network, delay = base.network, base.delay
    network.config.decoder.decoder_start_token_id = delay.pad
    torch.manual_seed(config.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained = peft.get_peft_model(
            network,
            peft.LoraConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout,
                            target_modules=list(config.target)),
        )  # fmt: skip
    weights = [weight for weight in trained.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, lr=config.rate, betas=config.betas, weight_decay=config.decay
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(config.base)
    clips = Clips.open(config.data).train
    dice = np.random.default_rng(config.seed)
    narrow = config.precision == "bf16"

    def codes_of(some: list[Any]) -> torch.Tensor:
        if kept:
            return torch.stack([torch.from_numpy(clip.codes()) for clip in some]).to(device)
        sound = torch.stack([torch.from_numpy(clip.sound().T.copy()) for clip in some]).to(device)
        with torch.no_grad():
            coded = network.audio_encoder.encode(sound).audio_codes[0]
        return coded

    def step() -> float:
        trained.train()
        some = [clips[number] for number in dice.choice(len(clips), config.batch)]
        codes = codes_of(some)
        places = delay.places(codes.shape[2])
        labels = delay.sequence(codes, places, codes.shape[2])[:, :, 1:].transpose(1, 2)
        told = tokenizer([clip.prompt for clip in some], padding=True, return_tensors="pt")
        with torch.autocast(device.type, torch.bfloat16) if narrow else nullcontext():
            loss = trained(
                input_ids=told.input_ids.to(device),
                attention_mask=told.attention_mask.to(device),
                labels=labels,
            ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, config.clip)
        optimizer.step()
        optimizer.zero_grad()
        value: float = loss.item()
        return value

    return step


def make(name: str, config: AudioConfig) -> Step:
    """The step of that name."""
    return ours(config) if name == OURS else plain(config, kept=name == KEPT)


def in_turns(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of each one's steps; the first, which warms up, is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            begun = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - begun)
    return {name: values[1:] for name, values in seconds.items()}


def peak(name: str, config: AudioConfig) -> int:
    """Bytes that a process needs at most which takes three of these steps."""
    words = [sys.executable, __file__, "--peak", name, "--config", json.dumps(config.to_json())]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT)
    return int(done.stdout.splitlines()[-1])


def say_peak(name: str, config: AudioConfig) -> None:
    """What :func:`peak` asks for."""
    step = make(name, config)
    for _ in range(3):
        step()
    print(memory(torch.device(config.device)))


def foretold(config: AudioConfig) -> tuple[float, float]:
    """Seconds that a run was estimated to take, and that it took."""
    SummaryWriter(str(config.run)).close()  # loaded before the clock starts, as the model is
    expected = estimate(AudioTrainer(config)).seconds
    trainer = AudioTrainer(config)
    begun = time.perf_counter()
    trainer.train()
    return expected, time.perf_counter() - begun


def main() -> None:
    """Measure, and say whether the targets hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="tiny", choices=["tiny", "small", "medium", "large"])
    parser.add_argument("--steps", type=int, default=8, help="of each")
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a clip")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--run", type=int, default=60, help="steps of the run that is estimated")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default=None, help="bf16 on a GPU, fp32 elsewhere")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    parser.add_argument("--config", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.peak:
        say_peak(a.peak, AudioConfig.from_json(json.loads(a.config)))
        return
    precision = a.precision or ("bf16" if a.device == "cuda" else "fp32")
    with tempfile.TemporaryDirectory(prefix="sideman-bench-") as folder:
        place = Path(folder)
        config = AudioConfig(
            write_data(place / "data", a.clips, a.seconds), place / "run",
            write_model(place, a.size), batch=a.batch, steps=a.run, patience=0,
            device=a.device, precision=precision,
        )  # fmt: skip
        begun = time.perf_counter()
        steps = {OURS: ours(config)}  # first: it makes the codes that are kept
        prepared = time.perf_counter() - begun
        steps |= {name: make(name, config) for name in (PLAIN, KEPT)}
        seconds = in_turns(steps, a.steps)
        del steps
        peaks = {name: peak(name, config) for name in seconds}
        expected, took = foretold(replace(config, run=place / "timed"))
    heard = a.batch * a.seconds
    each = {name: median(values) for name, values in seconds.items()}
    rows = [
        [name, number(each[name]), number(heard / each[name]), f"{peaks[name] / 2**30:.2f}"]
        for name in each
    ]
    print(table(["a step", "seconds", "x real time", "GiB at most"], rows))
    print()
    ratio, off = each[PLAIN] / each[OURS], expected / took - 1
    print(f"MusicGen {a.size}, {a.batch} clips of {a.seconds:g} s, {precision} on {a.device}.")
    print(f"The model was loaded, and codes and prompts made once, in {prepared:.1f} s.")
    print()
    verdict(
        f"a step is {ratio:.2f} times as fast as the plain loop's ({FASTER:g})", ratio >= FASTER
    )
    verdict(
        f"{a.run} steps were estimated at {expected:.2f} s and took {took:.2f} s: "
        f"{off:+.0%} ({OFF:.0%})",
        abs(off) <= OFF,
    )


if __name__ == "__main__":
    main()
