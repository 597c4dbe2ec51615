"""A model of sound that plays what it is given, in numpy: its frames, steps and calls are known.

It has the doors of `engine.models.audio` and the habits of a live model of 25 frames a second: it
lets go of its past by itself unless it is told how much it can look back on, hears styles and notes
at every frame, and its codec looks two frames ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from fractions import Fraction

import numpy as np

from engine.audio import Audio
from engine.errors import Code, SidemanError
from engine.models.audio import Cue, Sampling

LONGEST_TEXT = 100


class Tape:
    """Plays ``sound(seed)`` [any length, channels] after whatever came before; then silence."""

    def __init__(
        self,
        sound: Callable[[int], Audio],
        rate: int = 48_000,
        channels: int = 2,
        trained_frames: int | None = None,
    ) -> None:
        self.sound = sound
        self.name, self.licence = "tape", ""
        self.sample_rate, self.channels, self.hop = rate, channels, rate // 25
        self.frame_rate, self.trained_frames = Fraction(25), trained_frames
        self.lookahead = 2
        self.hears = frozenset({"text", "styles", "notes", "drums"})
        self.nbytes = 0
        self.adapters: Mapping[str, float] = {}
        self.encoded: list[tuple[Audio, Audio | None]] = []
        self.streams: list[TapeStream] = []

    def adapt(self, strengths: Mapping[str, float]) -> None:
        self.adapters = dict(strengths)

    def check(self, cue: Cue) -> None:
        if len(cue.text) > LONGEST_TEXT:
            raise SidemanError(Code.BAD_ARGUMENTS, "the prompt is too long: say it in fewer words")

    def style(self, of: str | Audio) -> str | Audio:
        return of

    def encode(self, audio: Audio, right: Audio | None = None) -> Audio:
        assert len(audio) % self.hop == 0
        self.encoded.append((audio, right))
        return audio

    def decoder(self) -> TapeDecoder:
        return TapeDecoder(self)

    def open(
        self, batch: int, *, frames: int, sampling: Sampling, seeds: Sequence[int]
    ) -> TapeStream:
        assert len(seeds) == batch
        stream = TapeStream(self, frames, [self.sound(seed).astype(np.float32) for seed in seeds])
        self.streams.append(stream)
        return stream

    def free(self) -> None:
        pass


class TapeStream:
    def __init__(self, model: Tape, room: int, sounds: list[Audio]) -> None:
        self._model, self._room, self._sounds = model, room, sounds
        self.made = self.context = 0
        self.cues: list[Cue] = []
        self.reprimed: list[tuple[int, int]] = []
        self.kept: list[list[int]] = []
        self.nbytes = 1

    @property
    def batch(self) -> int:
        return len(self._sounds)

    @property
    def remaining(self) -> int:
        return self._room - self.context

    def prime(self, codes: Sequence[Audio] | None, cues: Sequence[Cue]) -> None:
        assert codes is None or len(codes) == self.batch
        assert len(cues) == self.batch
        self.context = 0 if codes is None else len(codes[0]) // self._model.hop
        self.set_prompt(cues)

    def reprime(self, frames: int) -> None:
        assert 0 < frames <= self.context
        self.reprimed.append((self.made, frames))
        self.context = frames

    def step(self) -> list[Audio]:
        assert self.remaining > 0
        hop = self._model.hop
        span = slice(self.made * hop, (self.made + 1) * hop)
        self.made, self.context = self.made + 1, self.context + 1
        silence = np.zeros((hop, self._model.channels), np.float32)
        return [np.concatenate([sound[span], silence])[:hop] for sound in self._sounds]

    def set_prompt(self, cues: Sequence[Cue]) -> None:
        self.cues = list(cues)

    def snapshot(self) -> tuple[int, int]:
        return self.made, self.context

    def restore(self, snapshot: tuple[int, int]) -> None:
        self.made, self.context = snapshot

    def keep(self, rows: Sequence[int]) -> None:
        self.kept.append(list(rows))
        self._sounds = [self._sounds[row] for row in rows]

    def cancel(self) -> None:
        pass


class TapeDecoder:
    def __init__(self, model: Tape) -> None:
        self._hop, self._ahead = model.hop, model.lookahead
        self._held = np.zeros((0, model.channels), np.float32)

    def prime(self, codes: Audio) -> None:
        assert not len(self._held)

    def fork(self) -> TapeDecoder:
        return copy(self)

    def push(self, codes: Sequence[Audio]) -> Audio:
        held = np.concatenate([self._held, *codes])
        ready = max(0, len(held) - self._ahead * self._hop)
        self._held = held[ready:]
        return held[:ready]

    def flush(self) -> Audio:
        rest, self._held = self._held, self._held[:0]
        return rest
