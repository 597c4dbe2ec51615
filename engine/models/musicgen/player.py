"""A loaded MusicGen as an `AudioModel`: numpy outside, torch inside.

Codes are int64 tensors ``[1, K, t]`` on the model's device; none of them is read back to the
processor before it is sound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.audio import Audio
from engine.errors import Code, SidemanError
from engine.models.audio import Cue, FindAdapter, Sampling
from engine.models.musicgen.codec import Codec
from engine.models.musicgen.model import TRAINED_SECONDS, MusicGen
from engine.models.musicgen.stream import Snapshot, Stream
from engine.models.musicgen.stream_codec import StreamDecoder

HEARS = frozenset({"text"})

ROOMS = 500
"""Frames by which the room of streams grows: those of one size lend each other their buffers."""


class Player:
    """The `AudioModel` of a MusicGen."""

    def __init__(self, model: MusicGen, find_adapter: FindAdapter | None = None) -> None:
        self.model = model
        self._find_adapter = find_adapter or _none_known
        self._codec = Codec(model.codec, model.channels)
        self.name, self.licence = model.name, model.licence
        self.sample_rate, self.hop = self._codec.rate, self._codec.hop
        self.channels = model.channels
        self.frame_rate: Fraction = self._codec.frame_rate
        self.trained_frames: int | None = TRAINED_SECONDS * model.frame_rate
        self.lookahead = StreamDecoder(self._codec).lookahead
        self.hears = HEARS

    @property
    def nbytes(self) -> int:
        """Memory of the weights, the adapters and the buffers kept for the next stream."""
        network = self.model.network
        tensors = [*network.parameters(), *network.buffers()]
        weights: int = sum(t.numel() * t.element_size() for t in tensors)
        return weights + self.model.slots.nbytes

    @property
    def adapters(self) -> Mapping[str, float]:
        """How much each adapter counts that does."""
        return self.model.adapters.strengths

    def adapt(self, strengths: Mapping[str, float]) -> None:
        """Have these adapters count so much, 0 to 2, and no others."""
        adapters = self.model.adapters
        loaded = []
        try:
            for name in strengths:
                if name not in adapters.resident:
                    adapters.load(self._find_adapter(name), name=name)
                    loaded.append(name)
            adapters.apply(strengths)
        except SidemanError:
            for name in loaded:
                adapters.unload(name)
            raise

    def check(self, cue: Cue) -> None:
        """Raise ``bad-arguments`` for a text longer than T5 reads, or what MusicGen never hears."""
        deaf = [f.name for f in fields(cue) if f.name not in HEARS and getattr(cue, f.name)]
        if deaf:
            raise SidemanError(
                Code.BAD_ARGUMENTS, f"{self.name} is told by a text alone, not by {deaf[0]}"
            )
        self.model.text.tokens(cue.text)

    def style(self, of: str | Audio) -> None:
        """MusicGen has none: raises ``bad-arguments``."""
        raise SidemanError(Code.BAD_ARGUMENTS, f"{self.name} knows no styles: tell it in words")

    def encode(self, audio: Audio, right: Audio | None = None) -> Tensor:
        """The codes of ``audio`` [T * hop, channels], int64 ``[1, K, T]``."""
        after = None if right is None or not len(right) else self._tensor(right)
        return self._codec.encode(self._tensor(audio), after)

    def decoder(self) -> Decoder:
        """From codes to sound, for one piece."""
        return Decoder(StreamDecoder(self._codec))

    def open(
        self, batch: int, *, frames: int, sampling: Sampling, seeds: Sequence[int]
    ) -> CuedStream:
        """A stream of ``batch`` sequences, with room for at least so many ``frames``."""
        room = -(-frames // ROOMS) * ROOMS
        return CuedStream(self.model.open(batch, frames=room, sampling=sampling, seeds=seeds))

    def free(self) -> None:
        """Let go of the buffers that wait for the next stream."""
        self.model.slots.clear()

    def _tensor(self, audio: Audio) -> Tensor:
        sides = np.ascontiguousarray(audio.T, np.float32)
        return torch.from_numpy(sides).unsqueeze(0).to(self._codec.device)


class CuedStream:
    """The `AudioStream` of a MusicGen, of whose cues only the texts count."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    @property
    def batch(self) -> int:
        """Sequences."""
        return self._stream.batch

    @property
    def remaining(self) -> int:
        """Frames that can still be made."""
        return self._stream.remaining

    @property
    def nbytes(self) -> int:
        """Memory, in bytes."""
        return self._stream.nbytes

    def prime(self, codes: Sequence[Tensor] | None, cues: Sequence[Cue]) -> None:
        """Begin anew after ``codes``, or after nothing."""
        self._stream.prime(None if codes is None else torch.cat([*codes]), _texts(cues))

    def reprime(self, frames: int) -> None:
        """Go on after the last ``frames`` frames alone, under the same prompts."""
        self._stream.prime(self._stream.codes[..., -frames:], self._stream.prompts)

    def step(self) -> list[Tensor]:
        """One frame of each sequence, ``[1, K, 1]``."""
        frame = self._stream.step()[..., None]
        return [frame[row : row + 1] for row in range(len(frame))]

    def set_prompt(self, cues: Sequence[Cue]) -> None:
        """Go on under other texts."""
        self._stream.set_prompt(_texts(cues))

    def snapshot(self) -> Snapshot:
        """An independent copy."""
        return self._stream.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to one."""
        self._stream.restore(snapshot)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these only."""
        self._stream.keep(rows)

    def cancel(self) -> None:
        """Have `step` raise ``cancelled``."""
        self._stream.cancel()


class Decoder:
    """The `AudioDecoder` of one piece."""

    def __init__(self, decoder: StreamDecoder) -> None:
        self._decoder = decoder

    def prime(self, codes: Tensor) -> None:
        """Hear what comes before."""
        self._decoder.prime(codes)

    def fork(self) -> Decoder:
        """Another, that has heard the same."""
        return Decoder(self._decoder.fork())

    def push(self, codes: Sequence[Tensor]) -> Audio:
        """The sound that these make certain."""
        return _sound(self._decoder.push(torch.cat([*codes], dim=-1)))

    def flush(self) -> Audio:
        """The sound held back."""
        return _sound(self._decoder.flush())


def _texts(cues: Sequence[Cue]) -> list[str]:
    return [cue.text for cue in cues]


def _sound(made: Tensor) -> Audio:
    sides: Audio = made[0].cpu().numpy()
    return np.ascontiguousarray(sides.T)


def _none_known(name: str) -> Path:
    raise SidemanError(Code.UNKNOWN_MODEL, f"no adapter {name[:80]!r} is loaded")
