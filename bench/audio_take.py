"""MusicGen from a request to sound: a take and its first 240 ms, with guidance and codec.

    python bench/audio_take.py [--device cuda] [--sizes small medium large]

Both go through the doors that the engine uses, `engine.models.audio`, in one process: from a text,
or a text and six seconds of sound, to samples in main memory. A take begins from nothing. Its
weights are random, and on a GPU of the published sizes; on the processor they are tiny, which only
shows that this works.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch

from bench.audio_models import SIZES, forget_peak, make, now, peak, process_peak, sizes
from bench.tools import SPREAD, machine, spread, table, verdict
from bridge.measure import Spread
from engine.audio import Audio
from engine.models.audio import Cue, Sampling
from engine.models.musicgen.checkpoint import quiet
from engine.models.musicgen.player import Player

CHUNK = 12
"""Frames that are decoded at a time: 240 ms."""

PROMPT_SECONDS = 6
WARM_UP = 2
WHOLE_SECONDS = {"small": 1.5, "medium": 2.8, "large": 4.0}
"""What 30 s of sound take at most, at the median, on a GPU of an H200's class."""

FIRST_SECONDS = 0.1
"""What the first 240 ms take at most, at p95."""


def cues() -> Iterator[Cue]:
    """Every request says something that was not said before."""
    bpm = 60.0
    while True:
        bpm += 0.25
        yield Cue(text=f"dry funk drums and a round bass, {bpm:.2f} bpm")


def whole(player: Player, cue: Cue, seconds: float) -> Audio:
    """So much sound, decoded as it is made."""
    frames = int(seconds * player.frame_rate)
    stream = player.open(1, frames=frames, sampling=Sampling(), seeds=(0,))
    stream.prime(None, [cue])
    decoder, chunks = player.decoder(), []
    for begin in range(0, frames, CHUNK):
        made = [stream.step()[0] for _ in range(min(CHUNK, frames - begin))]
        chunks.append(decoder.push(made))
    return np.concatenate([*chunks, decoder.flush()])


def first(player: Player, cue: Cue, prompt: Audio, frames: int) -> Audio:
    """The first chunk after a prompt, in a stream with room for so many frames."""
    stream = player.open(1, frames=frames, sampling=Sampling(), seeds=(0,))
    codes = player.encode(prompt)
    stream.prime([codes], [cue])
    decoder = player.decoder()
    decoder.prime(codes)
    return decoder.push([stream.step()[0] for _ in range(CHUNK + player.lookahead)])


def timed(device: torch.device, times: int, make_sound: Callable[[], Audio]) -> list[float]:
    """Seconds of each run but for the first ones, which capture and allocate."""
    seconds = []
    for _ in range(WARM_UP + times):
        begun = now(device)
        sound = make_sound()
        seconds.append(now(device) - begun)
        assert np.isfinite(sound).all()
    return seconds[WARM_UP:]


def measure(name: str, device: str, takes: int, requests: int, seconds: float) -> list[list[str]]:
    """Rows of the table; says whether the targets hold."""
    model = make(name, device)
    player, asked = Player(model), cues()
    samples = PROMPT_SECONDS * player.sample_rate
    noise = np.random.default_rng(0).normal(0, 0.1, (samples, player.channels)).astype(np.float32)
    frames = int(seconds * player.frame_rate)
    room = frames + int(PROMPT_SECONDS * player.frame_rate)
    lengths = (
        len(whole(player, next(asked), seconds)),
        len(first(player, next(asked), noise, room)),
    )
    exact = lengths == (frames * player.hop, CHUNK * player.hop)
    verdict(f"{name}: there are as many samples as were asked for", exact)

    forget_peak(model.device)
    full = timed(model.device, takes, lambda: whole(player, next(asked), seconds))
    early = timed(model.device, requests, lambda: first(player, next(asked), noise, room))
    if most := peak(model.device):
        print(f"- {name}: {most}")
    if device == "cuda" and name in WHOLE_SECONDS:
        limit = WHOLE_SECONDS[name] * seconds / 30
        half, late = Spread.of(full).p50, Spread.of(early).p95
        verdict(f"{name}: {seconds:g} s within {limit:.3g} s, at the median", half <= limit)
        verdict(f"{name}: first 240 ms within 100 ms, p95", late <= FIRST_SECONDS)
    return [
        [f"{name}: {seconds:g} s from nothing", *spread(full)],
        [f"{name}: 240 ms after {PROMPT_SECONDS} s of sound", *spread(early)],
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, metavar="SIZE")
    parser.add_argument("--seconds", type=float, default=30.0, help="of sound in a take")
    parser.add_argument("--takes", type=int, default=10)
    parser.add_argument("--requests", type=int, default=100, help="for the first 240 ms")
    a = parser.parse_args()
    torch.set_num_threads(1)
    print("\n".join(f"- {name}: {value}" for name, value in machine().items()) + "\n")
    rows = []
    with quiet():
        for name in a.sizes or sizes(a.device):
            rows += measure(name, a.device, a.takes, a.requests, a.seconds)
    print(f"- {process_peak()}")
    print(f"\nFrom the request to the sound, ms, on {a.device}; random weights, guidance 3\n")
    print(table(["what", *SPREAD], rows))


if __name__ == "__main__":
    main()
