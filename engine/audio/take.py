"""One take of sound while it is made: its candidates, and the one of them that goes on."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict
from fractions import Fraction
from math import ceil, isfinite
from typing import Any, TypeVar

import numpy as np

from engine.audio import Audio
from engine.audio.compare import Reference
from engine.audio.finish import Finish
from engine.audio.leveller import Leveller
from engine.audio.meter import Meter
from engine.audio.plan import plan
from engine.audio.prompt import heard
from engine.audio.rank import Measures, cost, rank
from engine.audio.tempo import Beat, fitting, measure
from engine.audio.voice import Voice
from engine.audio.wanted import PROMPT_SECONDS, Wanted
from engine.models.audio import AudioModel, Codes

FIRST, NEXT = Fraction(28, 100), Fraction(1, 2)
"""Seconds of sound in the first chunk, and in each one after it. The first is as long as it takes
to hear how loud the take begins, and gives 240 ms after what is held back."""

_MIX = 0x9E3779B97F4A7C15
"""2**64 by the golden ratio: the seeds of candidates lie far from those of other takes."""
_SEEDS = 2**63


T = TypeVar("T")


class Take:
    """A take under way, by whoever makes its frames."""

    def __init__(self, model: AudioModel, wanted: Wanted) -> None:
        self.wanted = wanted
        self.seeds = [(wanted.seed + k * _MIX) % _SEEDS for k in range(wanted.candidates)]
        """One for each candidate; the first is the take's own."""
        self.alone = not len(wanted.past)
        """Whether it goes on from nothing but a text."""
        channels = model.channels if self.alone else wanted.past.shape[1]
        rate = wanted.grid.rate
        self.voices = [Voice(model, rate, channels) for _ in self.seeds]
        self.plan = plan(wanted, model)
        self.made = 0
        """Frames of it so far."""
        self._model = model
        self._due = ceil(FIRST * model.frame_rate) + model.lookahead
        self._prompt = np.zeros((0, channels), np.float32) if self.alone else wanted.prompt
        self._sounds: list[list[Audio]] = [[] for _ in self.seeds]
        self._chosen: int | None = 0 if len(self.seeds) == 1 else None
        self._measures: list[Measures] = []
        self._finish = Finish(self._prompt, wanted.following, rate, wanted.samples)
        self._start: list[Audio] = []  # what was given out, as far as its beat is measured
        self._beat: Beat | None = None
        self._stretch: float | None = None
        self.dropped = False
        """Whether nobody wants it any more."""

    def codes(self) -> Codes | None:
        """The prompt's frames, None without a prompt."""
        if self.alone:
            return None
        sound = heard(self.wanted, self._model, self.plan.primed)
        return self._model.encode(sound.audio, sound.right if len(sound.right) else None)

    def prime(self, codes: Codes) -> None:
        """Have the voices hear the prompt."""
        first, *others = self.voices
        first.prime(codes)
        for voice in others:
            voice.follow(first)

    @property
    def going(self) -> list[Voice]:
        """The voices that frames are made for."""
        return [voice for voice in self.voices if voice.alive]

    @property
    def bar(self) -> int:
        """The song's bar in which the next frame begins."""
        grid = self.wanted.grid
        begun = int(self.made * grid.rate / self._model.frame_rate)
        return grid.bar_at(grid.line(self.wanted.bar) + begun)

    def drop(self) -> None:
        """Make no more of it."""
        self.dropped = True
        for voice in self.voices:
            voice.alive = False

    def hear(self, frames: Sequence[Codes]) -> Iterator[list[Audio]]:
        """A frame of each voice that is `going`. Yields after each small piece of work."""
        if not frames:
            return
        for voice, frame in zip(self.going, frames, strict=True):
            voice.take(frame)
        self.made += 1
        decide = self._chosen is None and self.made == self.plan.first_bar
        last = self.made == self.plan.needed
        if not (self.made >= self._due or decide or last):
            return
        self._due = self.made + ceil(NEXT * self._model.frame_rate)
        for index, voice in enumerate(self.voices):
            if voice.alive:
                self._sounds[index].append(voice.sound(last))
                if self._chosen is None:
                    yield []
        if decide:
            for _ in self._decide():
                yield []
        if self.wanted.live and self._chosen is not None:
            yield self._give(self._taken())
        if last:
            for voice in self.voices:
                voice.alive = False
            yield from self._end()

    def report(self) -> dict[str, Any]:
        """What is known of it, ready for JSON; whole once its last sound was given."""
        wanted, finish = self.wanted, self._finish
        cut = wanted.cut
        seam = finish.seam
        return {
            "context": None
            if cut is None
            else {
                "beats": float(cut.beats),
                "seconds": _round((cut.end - cut.first) / wanted.grid.rate),
                "frames": self.plan.primed,
                "loudness_lufs": _round(finish.prompt_loudness),
            },
            "seeds": self.seeds,
            "candidates": [
                {name: _round(value) for name, value in asdict(each).items()}
                | {"cost": _round(cost(each))}
                for each in self._measures
            ],
            "chosen": self._chosen,
            "frames": self.made,
            "reprimes": [{"bar": at.bar, "frames": at.keep} for at in self.plan.reprimes],
            "loudness_lufs": _round(finish.heard.loudness()),
            "gain_db": _round(finish.gain_db),
            "seam": seam
            and {
                "fade_ms": _round(seam.fade / wanted.grid.rate * 1000),
                "click": _round(seam.click),
            },
            "beat": self._beat
            and {
                "offset_ms": _round(self._beat.offset_ms),
                "ratio": _round(self._beat.ratio, 5),
                "drift_ms": _round(self._beat.drift_ms),
                "confidence": _round(self._beat.confidence),
                "verdict": str(self._beat.verdict),
            },
            "stretched": _round(self._stretch, 5),
        }

    def _taken(self) -> Audio:
        """What the chosen voice has made since."""
        assert self._chosen is not None
        sounds = self._sounds[self._chosen]
        self._sounds[self._chosen] = []
        return np.concatenate([self._prompt[:0], *sounds])

    def _give(self, sound: Audio) -> list[Audio]:
        return self._given(self._finish.push(sound))

    def _given(self, sound: Audio) -> list[Audio]:
        """What leaves now, in chunks of a second at most."""
        rate = self.wanted.grid.rate
        if sum(map(len, self._start)) < PROMPT_SECONDS * rate:
            self._start.append(sound)
        return [sound[at : at + rate] for at in range(0, len(sound), rate)]

    def _decide(self) -> Iterator[None]:
        """Choose the candidate whose first bar goes on best."""
        wanted = self.wanted
        bar = min(wanted.grid.length(wanted.bar), wanted.samples)
        reference = Reference(self._prompt, wanted.grid, wanted.bar)
        yield
        for sounds in self._sounds:
            self._measures.append(reference.measure(np.concatenate(sounds)[:bar]))
            yield
        self._chosen = rank(self._measures)[0]
        for index, voice in enumerate(self.voices):
            if index != self._chosen:
                voice.alive = False
                self._sounds[index] = []

    def _end(self) -> Iterator[list[Audio]]:
        wanted, grid = self.wanted, self.wanted.grid
        if not wanted.live:
            yield from self._whole()
        yield self._given(self._finish.flush())
        if wanted.live:
            start = np.concatenate(self._start)
            # The whole bars of it, if one is whole.
            bars = max(1, grid.bar_at(grid.line(wanted.bar) + len(start)) - wanted.bar)
            self._beat = measure(start[: grid.length(wanted.bar, bars)], grid, wanted.bar)
            yield []
        self._start = []

    def _whole(self) -> Iterator[list[Audio]]:
        """A take that was waited for: fitted to its bars, and of one gain."""
        wanted, rate = self.wanted, self.wanted.grid.rate
        fitted = yield from _resting(fitting(self._taken(), wanted.grid, wanted.bar, wanted.bars))
        self._beat = fitted.beat
        self._stretch = fitted.beat.ratio if fitted.stretched else None
        seconds = [fitted.audio[at : at + rate] for at in range(0, wanted.samples, rate)]
        channels = fitted.audio.shape[1]
        own = Meter(rate, channels)
        for second in seconds:
            own.push(second)
            yield []
        apart = self._finish.prompt_loudness - own.loudness()
        # What the ceiling leaves of the gain by the end, it shall be from the beginning.
        tried = Leveller(rate, channels, 10 ** (apart / 20) if isfinite(apart) else 1.0)
        for second in seconds:
            tried.push(second)
            yield []
        tried.flush()
        gain = tried.gain
        self._finish = Finish(self._prompt, wanted.following, rate, wanted.samples, gain)
        for second in seconds:
            yield self._give(second)


def _resting(work: Generator[None, None, T]) -> Generator[list[Audio], None, T]:
    """Work that gives no sound, with its pauses and its result."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result
        yield []


def _round(value: float | None, digits: int = 3) -> float | None:
    """For JSON, which has no infinities."""
    return round(float(value), digits) if value is not None and isfinite(value) else None
