"""What a run sounds like on its way: a held-out piece goes on as the live engine would play it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import symusic

from engine.errors import SidemanError
from engine.models.folder import ModelInfo, Weights
from engine.models.rwkv.family import RwkvModel
from engine.models.rwkv.numpy_step import NumpyKernel
from engine.models.rwkv.packed import pack
from engine.models.rwkv.torch_model import Rwkv7
from engine.music import DRUMS, TICKS_PER_BEAT, Meter, Note
from engine.sampling import Sampler
from engine.tokens.encode import decode
from engine.tokens.grammar import Writer
from engine.tokens.plan import BarPlan, Plan
from engine.tokens.vocabulary import Vocabulary
from training.config import TrainConfig
from training.data import TokenSet
from training.lora import plain_weights

log = logging.getLogger(__name__)

CONTEXT_BARS = 8
"""Bars of the held-out piece that a sample follows, and holds."""


class Audition:
    """Writes ``samples/step-N.mid`` into the run's folder.

    Data whose tokens the live engine does not read, or without a long held-out piece, has none.
    """

    def __init__(self, data: TokenSet, config: TrainConfig, hear: Callable[[Path], None]) -> None:
        self._config = config
        self._hear = hear
        self._vocabulary: Vocabulary | None = None
        if config.sample_bars:
            try:
                self._vocabulary = Vocabulary.load(data.folder / "tokenizer.json")
            except SidemanError as error:
                log.info("no samples: %s", error.text)
            self._context = _context(data)

    def play(self, model: Rwkv7, step: int) -> None:
        """Play on with the weights as they are now."""
        if self._vocabulary is None or self._context is None:
            return
        begin, tokens = self._context
        heard = decode(self._vocabulary, tokens)
        meters = _meters(self._vocabulary, tokens)
        player = _player(model)
        stream = player.open()
        stream.feed([begin, *tokens])
        programs = tuple(sorted({note.program for note in heard}))
        bars = (BarPlan(meters[-1]),) * self._config.sample_bars
        writer = Writer(self._vocabulary, Plan(bars, programs))
        sampler = Sampler(self._config.seed, 1.0, 0.95)
        made: list[Note] = []
        while not writer.finished:
            token = writer.forced()
            if token is None:
                token = sampler.choose(stream.logits[0], writer.allowed())
            if (note := writer.accept(token)) is not None:
                made.append(replace(note, bar=len(meters) + note.bar))
            stream.step([token])
        path = self._config.run / "samples" / f"step-{step:06d}.mid"
        path.parent.mkdir(exist_ok=True)
        _write(path, [*meters, *(bar.meter for bar in bars)], [*heard, *made])
        self._hear(path)


def _context(data: TokenSet) -> tuple[int, list[int]] | None:
    """The token that pieces follow, and the first bars of the first held-out piece with notes."""
    for piece in data.select("heldout"):
        tokens = data.tokens(piece)
        lines = np.flatnonzero(data.vocabulary.is_bar[tokens])
        heard = tokens[: lines[CONTEXT_BARS]] if len(lines) > CONTEXT_BARS else tokens
        if data.vocabulary.is_note[heard].any():
            return data.vocabulary.begin, heard.tolist()
    return None


def _meters(vocabulary: Vocabulary, tokens: Sequence[int]) -> list[Meter]:
    """The meter of each bar."""
    meters: list[Meter] = []
    meter = vocabulary.meters[0]
    for token, following in pairwise([*tokens, vocabulary.bar]):
        if token == vocabulary.bar:
            if following in vocabulary.time_signature:
                meter = vocabulary.meters[following - vocabulary.time_signature.start]
            meters.append(meter)
    return meters


def _player(model: Rwkv7) -> RwkvModel:
    """The network as the live engine holds it, in numpy: nothing has to be compiled."""
    weights = {name: tensor.numpy() for name, tensor in plain_weights(model).items()}
    start = None if model.start is None else model.start.detach().cpu().numpy()
    about = ModelInfo(1, "", "rwkv", "midi", "rwkv7", model.sizes.to_json(), Weights("", ""))
    return RwkvModel(
        about, model.sizes, NumpyKernel(pack(weights, model.sizes), model.sizes), start
    )


def _write(path: Path, meters: Sequence[Meter], notes: Sequence[Note]) -> None:
    """A MIDI file of these bars."""
    score: Any = symusic.Score(TICKS_PER_BEAT)
    starts = [0, *accumulate(meter.ticks for meter in meters)]
    for bar, meter in enumerate(meters):
        if bar == 0 or meter != meters[bar - 1]:
            score.time_signatures.append(symusic.TimeSignature(starts[bar], meter.num, meter.den))
    for program in sorted({note.program for note in notes}):
        track: Any = symusic.Track("", max(0, program), program == DRUMS)
        track.notes.extend(
            symusic.Note(starts[n.bar] + n.tick, n.duration, n.pitch, n.velocity)
            for n in notes
            if n.program == program
        )
        score.tracks.append(track)
    score.dump_midi(path)
