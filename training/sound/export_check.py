"""An export held against its original: the same music, step by step, and what it costs.

The original is transformers' network on the processor in float32, which hears the whole sequence
anew at each step: it shares no code with the graphs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engine.models.audio import Sampling
from engine.models.musicgen.codec import Codec
from engine.models.musicgen.model import MusicGen
from training.sound.exported import CODEC, ENCODER, Floats, Graphs, Ints, Playing

Booleans = NDArray[np.bool_]

STEPS = 50
"""Steps that are compared."""

PREFILLED = 8
"""Places that are taken in at once before the first step, in the comparison of logits."""

HEARD = 40
"""Frames that are decoded."""

PROMPT = "a steady beat with a warm bass"


@dataclass(frozen=True, slots=True)
class Check:
    """What was measured over `STEPS` steps. Codes that the delay leaves no choice count nowhere."""

    greedy_steps: int
    """Steps until the first greedy code that differs; `STEPS` where all are the same."""

    top1: float
    """Share of most likely codes that are the same, after the same past."""

    cosine: float
    """Of the logits, the mean over steps and codebooks."""

    cosine_least: float
    cross_entropy: float
    """Nats a code of the original's greedy codes, by the original."""

    cross_entropy_exported: float
    codec_error: float
    """Greatest difference of a sample of the decoded sound, of 1."""

    encoder_same: float
    """Share of the same codes of that sound, as the codec's encoder hears it."""

    step_ms: float
    """Median time of a step of the export."""

    step_ms_original: float
    """The same of the engine's own, on as many threads, guidance left out."""

    @property
    def cross_entropy_percent(self) -> float:
        """How much more it is."""
        return 100 * (self.cross_entropy_exported / self.cross_entropy - 1)

    def to_json(self) -> dict[str, float]:
        """All of it by name."""
        return {**asdict(self), "cross_entropy_percent": self.cross_entropy_percent}


@dataclass(frozen=True, slots=True)
class Original:
    """What the original does."""

    tokens: Ints
    """The sequence ``[K, STEPS + 1]``, greedy."""

    logits: Floats
    """``[STEPS, K, V]``, what each place is followed by."""

    text: list[int]
    asked: Booleans
    """``[STEPS, K]``, where there was a choice."""

    codes: Ints
    """The first `HEARD` frames ``[K, T]``."""

    audio: Floats
    """These as sound ``[channels, n]``."""

    heard: Ints
    """The codes ``[K, T]`` of that sound."""

    step_ms: float


@torch.inference_mode()
def original(model: MusicGen) -> Original:
    """Play greedily under `PROMPT`, by transformers' own forward."""
    states = model.text.encode(PROMPT)
    assert states is not None
    delay = model.delay
    nothing = torch.zeros(1, model.codebooks, 0, dtype=torch.long)
    sequence = delay.sequence(nothing, STEPS + 1)[0]
    found = []
    for place in range(STEPS):
        said = model.network.decoder(
            input_ids=sequence[:, : place + 1],
            encoder_hidden_states=states[None],
            use_cache=False,
        ).logits[:, -1]
        found.append(said.float())
        unknown = sequence[:, place + 1] < 0
        sequence[:, place + 1] = torch.where(unknown, said.argmax(-1), sequence[:, place + 1])
    places = np.arange(STEPS)[:, None]
    codes = delay.codes(sequence[None], HEARD)
    codec = Codec(model.codec, model.channels)
    audio = codec.decode(codes)
    return Original(
        sequence.numpy(),
        torch.stack(found).numpy(),
        model.text.tokens(PROMPT),
        places >= np.array(delay.delays),
        codes[0].numpy(),
        audio[0].numpy(),
        codec.encode(audio)[0].numpy(),
        _step_ms(model),
    )


def hold(graphs: Graphs, source: Original) -> Check:
    """Play the same with exported graphs, and compare."""
    free = Playing(graphs, source.text, STEPS + 1)
    tokens = source.tokens.copy()
    tokens[:, 1:][source.asked.T] = 0
    times, same = [], STEPS
    for place in range(STEPS):
        begun = time.perf_counter()
        said = free.feed(tokens[:, place : place + 1])
        times.append(time.perf_counter() - begun)
        asked = source.asked[place]
        tokens[asked, place + 1] = said.argmax(-1)[asked]
        if same == STEPS and not np.array_equal(tokens[:, place + 1], source.tokens[:, place + 1]):
            same = place
    led = Playing(graphs, source.text, STEPS + 1)
    logits = [led.feed(source.tokens[:, :PREFILLED])]
    logits += [led.feed(source.tokens[:, at : at + 1]) for at in range(PREFILLED, STEPS)]
    theirs = np.stack(logits)
    ours, asked = source.logits[PREFILLED - 1 :], source.asked[PREFILLED - 1 :]
    wanted = source.tokens[:, PREFILLED:].T
    (audio,) = graphs.run(CODEC, source.codes[None])
    (heard,) = graphs.run(ENCODER, source.audio[None])
    cosines = _cosine(ours, theirs)[asked]
    return Check(
        greedy_steps=same,
        top1=float((ours.argmax(-1) == theirs.argmax(-1))[asked].mean()),
        cosine=float(cosines.mean()),
        cosine_least=float(cosines.min()),
        cross_entropy=_cross_entropy(ours, wanted, asked),
        cross_entropy_exported=_cross_entropy(theirs, wanted, asked),
        codec_error=float(np.abs(audio[0] - source.audio).max()),
        encoder_same=float((heard[0] == source.heard).mean()),
        step_ms=1000 * float(np.median(times[1:])),
        step_ms_original=source.step_ms,
    )


def merged_check(one: Original, other: Original) -> Check:
    """The same of two networks: of an adapter that counts, and of one that was merged."""
    same = (one.tokens == other.tokens).all(0)[1:]
    wanted = one.tokens[:, 1:].T
    cosines = _cosine(one.logits, other.logits)[one.asked]
    both = one.codes.shape == other.codes.shape and np.array_equal(one.codes, other.codes)
    error = float(np.abs(one.audio - other.audio).max()) if both else float("nan")
    return Check(
        greedy_steps=STEPS if same.all() else int(same.argmin()),
        top1=float((one.logits.argmax(-1) == other.logits.argmax(-1))[one.asked].mean()),
        cosine=float(cosines.mean()),
        cosine_least=float(cosines.min()),
        cross_entropy=_cross_entropy(one.logits, wanted, one.asked),
        cross_entropy_exported=_cross_entropy(other.logits, wanted, one.asked),
        codec_error=error,
        encoder_same=float((one.heard == other.heard).mean()) if both else float("nan"),
        step_ms=other.step_ms,
        step_ms_original=one.step_ms,
    )


def _step_ms(model: MusicGen) -> float:
    """Median time of a step of the engine's own stream."""
    stream = model.open(1, frames=STEPS, sampling=Sampling(temperature=0, guidance=1))
    stream.prime(None, [PROMPT])
    step: Callable[[], object] = stream.step
    times = []
    for _ in range(STEPS - model.delay.longest):
        begun = time.perf_counter()
        step()
        times.append(time.perf_counter() - begun)
    return 1000 * float(np.median(times[1:]))


def _cosine(one: Floats, other: Floats) -> Floats:
    sizes = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    found: Floats = (one * other).sum(-1) / np.maximum(sizes, 1e-30)
    return found


def _cross_entropy(logits: Floats, wanted: Ints, asked: Booleans) -> float:
    highest = logits.max(-1, keepdims=True)
    total = np.log(np.exp(logits - highest).sum(-1)) + highest[..., 0]
    at = np.take_along_axis(logits, np.where(asked, wanted, 0)[..., None], -1)[..., 0]
    return float((total - at)[asked].mean())
