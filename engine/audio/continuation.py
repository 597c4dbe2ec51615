"""Takes of sound that go on from a prompt, made piece by piece: from what sounded to what sounds
next, N bars of it, on the grid.

A `Continuation` belongs to one thread. Between two pieces of its work anything may happen: other
work, takes that are dropped, adapters that come and go.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

from engine.audio import Audio
from engine.audio.plan import plan
from engine.audio.take import Take
from engine.audio.wanted import Wanted, check
from engine.models.audio import AudioModel, AudioStream

__all__ = ["Continuation", "Wanted", "can_share", "check"]

Sounds = list[tuple[int, Audio]]


def can_share(one: Wanted, other: Wanted, model: AudioModel) -> bool:
    """Whether two takes can be made in one stream, each as it would be made alone.

    Both have to pass `check`.
    """
    return one.sampling == other.sampling and plan(one, model).shares(plan(other, model))


class Continuation:
    """One take, or several that share a stream.

    A take alone is the same, sample by sample, each time. Beside others it is so as far as the
    model computes a row the same in every batch: where it rounds otherwise, a draw may tip over.
    """

    def __init__(self, model: AudioModel, wanted: Sequence[Wanted]) -> None:
        """Raises what `check` raises, and ``ValueError`` where not all `can_share`."""
        for each in wanted:
            check(each, model)
        if not wanted or not all(can_share(wanted[0], each, model) for each in wanted[1:]):
            raise ValueError("takes that share a stream go on from prompts of one length")
        self.done = False
        """Whether nothing is left to do."""
        self._model = model
        self._takes = [Take(model, each) for each in wanted]
        self._stream: AudioStream | None = None
        self._course = self._play()

    @property
    def nbytes(self) -> int:
        """Memory of its stream, in bytes; 0 before it is opened and once it is done."""
        return 0 if self._stream is None else self._stream.nbytes

    def work(self) -> Sounds:
        """Do one small piece of work: a step of the model at most, or a hop of the codec.

        Returns new samples [n, channels] at the session's rate, each with the index of its take; of
        each take they come in order. What a step or the codec raises ends the continuation.
        """
        try:
            return next(self._course)
        except StopIteration:
            self.done = True
            return []
        except BaseException:
            self.done, self._stream = True, None
            raise

    def drop(self, index: int) -> None:
        """Make no more of a take."""
        self._takes[index].drop()
        if all(take.dropped for take in self._takes):
            self._course.close()
            self.done, self._stream = True, None

    def bar(self, index: int) -> int:
        """The song's bar in which the next frame of a take begins."""
        return self._takes[index].bar

    def report(self, index: int) -> dict[str, Any]:
        """What is known of a take, ready for JSON; whole once all of it was given."""
        return self._takes[index].report()

    def _play(self) -> Generator[Sounds, None, None]:
        """All the work, which rests after each piece."""
        takes = self._takes
        codes = []
        for take in takes:
            codes.append(take.codes())
            yield []
        voices = [voice for take in takes for voice in take.voices]
        longest = max((take.plan for take in takes), key=lambda each: each.needed)
        primed, room = longest.primed, self._model.trained_frames
        stream = self._stream = self._model.open(
            len(voices),
            frames=min(primed + longest.needed, room or sys.maxsize),
            sampling=takes[0].wanted.sampling,
            seeds=[seed for take in takes for seed in take.seeds],
        )
        stream.prime(
            [heard for heard, take in zip(codes, takes, strict=True) for _ in take.voices]
            if primed
            else None,
            [take.wanted.cue for take in takes for _ in take.voices],
        )
        yield []
        if primed:
            for heard, take in zip(codes, takes, strict=True):
                take.prime(heard)
                yield []
        del codes
        coming = deque(longest.reprimes)
        made = 0
        while True:
            going = [row for row, voice in enumerate(voices) if voice.alive]
            if not going:
                break
            if len(going) < len(voices):
                stream.keep(going)
                voices = [voices[row] for row in going]
                yield []
            if coming and coming[0].made == made:
                stream.reprime(coming.popleft().keep)
                yield []
            frames = dict(zip(voices, stream.step(), strict=True))
            made += 1
            yield []
            for index, take in enumerate(takes):
                for sounds in take.hear([frames[voice] for voice in take.going]):
                    yield [(index, sound) for sound in sounds]
                    if take.dropped:
                        break
        self._stream = None
