"""EnCodec's decoder as a stream: codes in, sound out as soon as no later code can change it.

The chunks put together are the whole decode to rounding (1e-5 in fp32; measured in the tests), so
nothing has to be crossfaded. The decoder is a convolution over frames, an LSTM and a stack that
makes samples of frames. Both ends of it are run over a window with as many frames on each side as
they reach (`engine.models.musicgen.receptive`), and the LSTM's state is carried. A frame of sound
therefore comes out when the codes ``lookahead`` frames after it are in; with MusicGen's EnCodec
these are 4, that is 80 ms: three that the first convolution sees and one that the stack sees.

On CUDA the equality needs fp32 that is fp32: `torch.backends.cudnn.allow_tf32` off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

import torch
from torch import Tensor, nn
from transformers.models.encodec.modeling_encodec import EncodecLSTM

from engine.models.musicgen.codec import Codec
from engine.models.musicgen.receptive import Span, needed


class StreamDecoder:
    """Decodes a batch of pieces that grow together."""

    def __init__(self, codec: Codec, batch: int = 1) -> None:
        """``batch`` pieces of the codec's channels."""
        first, memory, *stack = codec.model.decoder.layers
        if not isinstance(memory, EncodecLSTM):
            raise TypeError("EnCodec's decoder has its LSTM after the first convolution")
        self.codec = codec
        self.batch = batch
        self._first = _Window(first, needed([first], Span(0, 0)), 1)
        self._memory = _Memory(memory.lstm)
        self._stack = _Window(
            nn.Sequential(*stack), needed(stack, Span(0, codec.hop - 1)), codec.hop
        )
        self.lookahead = self._first.ahead + self._stack.ahead
        """Frames that have to follow a frame before its sound is certain."""

    @torch.inference_mode()
    def push(self, codes: Tensor) -> Tensor:
        """The sound [B, C, n] float32 that ``codes`` [B, K, t] make certain; n may be 0."""
        return self._decode(codes, last=False)

    @torch.inference_mode()
    def prime(self, codes: Tensor) -> None:
        """Hears a prompt [B, K, T] that is not to be given back: the next sound is frame T's.

        Cheaper than pushing it: all but its last frames pass only the convolution and the LSTM.
        Only at the beginning of a stream.
        """
        if self.frames_in:
            raise ValueError("a stream is primed before it is given anything else")
        self._stack.skip(codes.shape[-1])
        self._decode(codes, last=False)

    @torch.inference_mode()
    def flush(self) -> Tensor:
        """The sound [B, C, n] of the frames held back, as at a piece's end; then starts anew."""
        nothing = torch.empty(
            self.batch, self.codec.codebooks, 0, dtype=torch.int64, device=self.codec.device
        )
        tail = self._decode(nothing, last=True)
        self.reset()
        return tail

    def reset(self) -> None:
        """Forgets everything: what comes next is the beginning of a piece."""
        self._first.reset()
        self._memory.reset()
        self._stack.reset()

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with these pieces of the batch, in this order; one may be taken twice."""
        channels = self.codec.channels
        index = torch.tensor(
            [row * channels + side for row in rows for side in range(channels)],
            dtype=torch.int64,
            device=self.codec.device,
        )
        self.batch = len(rows)
        self._first.keep(index)
        self._memory.keep(index)
        self._stack.keep(index)

    def fork(self) -> StreamDecoder:
        """Another one, that has been given the same so far."""
        # Nothing that they hold is written to: each puts its own in its place.
        twin = copy(self)
        twin._first, twin._stack = copy(self._first), copy(self._stack)
        twin._memory = copy(self._memory)
        return twin

    @property
    def frames_in(self) -> int:
        """Frames given since the beginning."""
        return self._first.seen

    @property
    def frames_out(self) -> int:
        """Frames whose sound was given back, the prompt's among them."""
        return self._stack.done

    def _decode(self, codes: Tensor, last: bool) -> Tensor:
        rows = self.batch * self.codec.channels
        frames = self.codec.embed(codes) if codes.shape[-1] else None
        sound = self._stack.push(self._memory.push(self._first.push(frames, last)), last)
        if sound is None:
            sound = torch.empty(rows, 1, 0, device=codes.device)
        return self.codec.audio(sound)


class _Window:
    """Runs layers that see some frames to both sides, on as few frames as make it exact.

    A piece's real beginning and end are left to the layers' own padding.
    """

    def __init__(self, layers: nn.Module, reach: Span, scale: int) -> None:
        self._run: Callable[[Tensor], Tensor] = layers
        self._behind = max(0, -reach.first)
        self.ahead = max(0, reach.last)
        self._scale = scale
        self.reset()

    def reset(self) -> None:
        self._kept: Tensor | None = None
        self._start = 0
        self.done = 0
        self.seen = 0

    def skip(self, frames: int) -> None:
        """Gives nothing back for the frames before ``frames``."""
        self.done = frames

    def push(self, frames: Tensor | None, last: bool) -> Tensor | None:
        """The outputs that became certain, None where there are none."""
        if frames is not None:
            self.seen += frames.shape[-1]
            kept = self._kept
            self._kept = frames if kept is None else torch.cat([kept, frames], dim=-1)
        window = self._kept
        ready = self.seen if last else self.seen - self.ahead
        if not last and self.seen <= self._behind:
            ready = 0  # Padding may mirror the beginning, so as much of it has to be there.
        made = None
        if window is not None and ready > self.done:
            first, end = self.done - self._start, ready - self._start
            made = self._run(window)[..., first * self._scale : end * self._scale]
            self.done = ready
        self._forget()
        return made

    def _forget(self) -> None:
        cut = min(self.done - self._behind, self.seen) - self._start
        if self._kept is not None and cut > 0:
            self._kept = self._kept[..., cut:]
            self._start += cut

    def keep(self, index: Tensor) -> None:
        if self._kept is not None:
            self._kept = self._kept[index]


class _Memory:
    """The LSTM with its shortcut, its state carried from one push to the next."""

    def __init__(self, lstm: nn.LSTM) -> None:
        self._lstm = lstm
        self.reset()

    def reset(self) -> None:
        self._state: tuple[Tensor, Tensor] | None = None

    def push(self, frames: Tensor | None) -> Tensor | None:
        if frames is None:
            return None
        steps = frames.permute(2, 0, 1)
        out, self._state = self._lstm(steps, self._state)
        both: Tensor = out + steps
        return both.permute(1, 2, 0)

    def keep(self, index: Tensor) -> None:
        if self._state is not None:
            self._state = (self._state[0][:, index], self._state[1][:, index])
