"""midigpt's engine with a random model of the package's own default size.

Its job is what its server does at a bar: encode the score, write one bar of one track. Its model
hears 8 bars at most, so the context is the last 7 of the 16. The first note is counted when its
own callback has it; its server waits for the whole bar.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import torch
from midigpt import Bar, Note, Score, Track, _core
from midigpt.attributes.base import AttributeAnalyzer
from midigpt.inference import (
    GenerationCancelled,
    GenerationRequest,
    InferenceConfig,
    InferenceEngine,
    TrackPrompt,
)
from midigpt.inference.model.gpt2 import GPT2Config, GPT2LMHeadModel
from midigpt.tokenizer.tokenizer import Tokenizer

from bench.peers import Jobs, serve

WINDOW_BARS = 8
RESOLUTION = 12
ENCODER = {
    "attribute_controls": [],
    "num_bars_map": [4, WINDOW_BARS],
    "resolution": RESOLUTION,
    "decode_resolution": RESOLUTION,
    "time_signatures": ["3/4", "4/4", "6/8"],
    "instrument_merge_groups": [],
    "note_duration_max_beats": 8,
    "pitch_range": [0, 127],
    "velocity_levels": 32,
    "velocity_sticky": True,
    "supports_infill": True,
    "supports_mask_bar_token": False,
    "emit_delta_tokens": False,
    "token_domains": [],
}


def score_of(bars: list[dict[str, list[list[float]]]], programs: dict[str, int]) -> Score:
    """A score of some bars; notes are (beat, duration in beats, pitch, velocity). One bar is to be
    written behind them."""
    tracks = []
    for name, program in programs.items():
        written = [
            Bar([
                Note(int(pitch), int(velocity), round(beat * RESOLUTION),
                     max(1, round(length * RESOLUTION)))
                for beat, length, pitch, velocity in bar[name]
            ])
            for bar in bars
        ]  # fmt: skip
        kind = "drum" if program < 0 else "melodic"
        tracks.append(Track([*written, Bar()], max(0, program), kind))
    return Score(tracks, RESOLUTION)


def prepare(task: dict[str, Any]) -> tuple[str, Jobs]:
    """Build the engine and the score of what was played."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = _core.EncoderConfig.from_json(json.dumps(ENCODER))
    config.derive_token_domains()
    analyzer = AttributeAnalyzer.from_config(config)
    tokenizer = Tokenizer(config, analyzer)
    sizes = GPT2Config(vocab_size=tokenizer.vocab_size())
    model = GPT2LMHeadModel(sizes).eval()
    engine = InferenceEngine(model, tokenizer, analyzer)
    engine.warmup()
    score = score_of(task["bars"], task["programs"])
    last = len(score.tracks[0].bars) - 1
    target = list(task["programs"]).index(task["track"])

    def first_note() -> float:
        settings = InferenceConfig(
            model_dim=WINDOW_BARS, max_attempts=1, novelty_check=False, silence_check=False
        )
        prompts = [
            TrackPrompt(i, [last] if i == target else [], autoregressive=i == target)
            for i in range(len(score.tracks))
        ]
        came: list[float] = []
        enough = threading.Event()

        def heard(notes: list[dict[str, int]]) -> None:
            came.append(time.perf_counter())
            enough.set()

        begun = time.perf_counter()
        session = engine.session(score, GenerationRequest(prompts, settings))
        session.note_sink, session.cancel_event = heard, enough
        # Random weights would write until the context is full.
        with suppress(GenerationCancelled):
            session.run()
        return came[0] - begun

    size = sum(p.numel() for p in model.parameters()) / 1e6
    return f"midigpt {version('midigpt')} engine, its GPT-2 {size:.1f} M, random", {
        "encode and prefill": first_note,
    }


if __name__ == "__main__":
    serve(prepare)
