"""EnCodec as MusicGen uses it: sound to codes and back, in mono and in stereo.

The network is transformers' `EncodecModel`. MusicGen's is mono; a stereo MusicGen runs it once for
each side and interleaves the codebooks: 0 is the left side's first, 1 the right side's first, 2 the
left side's second (Copet et al., arXiv 2306.05284). Here both sides are rows of one batch.

Shapes: B pieces, C channels, N samples, K codebooks of all channels, T frames.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from transformers import EncodecModel

from engine.errors import Code, SidemanError
from engine.models.musicgen.receptive import Span, needed


class Codec:
    """An EnCodec and the number of channels that codes are made for.

    ``rate`` is in Hz, ``hop`` in samples to the frame, ``codebooks`` is K.
    """

    def __init__(self, model: EncodecModel, channels: int = 1) -> None:
        """``channels`` is 1 or 2. Raises `SidemanError` BAD_FILE for an EnCodec of another kind."""
        config = model.config
        if channels not in (1, 2):
            raise ValueError(f"a codec has one channel or two, not {channels}")
        _check(config.audio_channels == 1, "has more than one channel")
        _check(not config.normalize, "scales every chunk by its level")
        _check(config.chunk_length is None, "works in chunks of its own")
        _check(config.norm_type == "weight_norm", "norms over the whole piece")
        self.model: EncodecModel = model.train(False)
        self.channels = channels
        self.rate: int = config.sampling_rate
        self.hop: int = config.hop_length
        self.codebook_size: int = config.codebook_size
        self._bandwidth: float = config.target_bandwidths[0]
        self.codebooks: int = channels * model.quantizer.get_num_quantizers_for_bandwidth(
            self._bandwidth
        )
        ahead = needed(list(model.encoder.layers), Span(0, 0)).last
        self.right_context = max(0, ahead - self.hop + 1)
        """Samples after a frame's end that its codes depend on; 2386 of them at 32 kHz."""

    @property
    def frame_rate(self) -> Fraction:
        """Frames in a second; exact."""
        return Fraction(self.rate, self.hop)

    @property
    def device(self) -> torch.device:
        """Where the network is, and where audio and codes have to be."""
        device: torch.device = self.model.device
        return device

    def frames(self, samples: int) -> int:
        """Frames that so many samples are coded in; the last may be partly filled."""
        return -(-samples // self.hop)

    @torch.inference_mode()
    def encode(self, audio: Tensor, right: Tensor | None = None) -> Tensor:
        """Codes int64 [B, K, T] of ``audio`` [B, C, N], T = ``frames(N)``.

        ``right`` [B, C, R] is what sounds after it, such as a loop's own beginning. Without it the
        network mirrors the end, and the last frames come out as of another sound; with
        ``right_context`` samples or more they are what they would be in the middle of a piece.
        Mono ``audio`` is taken for both sides of a stereo codec.
        """
        batch, channels, samples = audio.shape
        if channels not in (1, self.channels):
            raise ValueError(f"{channels} channels do not fit a codec of {self.channels}")
        if right is not None:
            audio = torch.cat([audio, right[..., : self.right_context]], dim=-1)
        rows = audio.reshape(batch * channels, 1, -1).to(self.model.dtype)
        coded: Any = self.model.encode(rows, bandwidth=self._bandwidth)
        frames = self.frames(samples)
        sides: Tensor = coded.audio_codes[0, ..., :frames].reshape(batch, channels, -1, frames)
        sides = sides.expand(-1, self.channels, -1, -1)
        return sides.transpose(1, 2).reshape(batch, self.codebooks, frames)

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Tensor:
        """Audio float32 [B, C, T * hop] of ``codes`` [B, K, T], each below ``codebook_size``."""
        sound = self.model.decoder(self.embed(codes))
        return self.audio(sound)

    def embed(self, codes: Tensor) -> Tensor:
        """What the decoder takes: [B * C, D, T], one row a channel, of ``codes`` [B, K, T]."""
        batch, codebooks, frames = codes.shape
        if codebooks != self.codebooks:
            raise ValueError(f"{codebooks} codebooks, and the codec has {self.codebooks}")
        sides = codes.reshape(batch, -1, self.channels, frames).permute(1, 0, 2, 3).flatten(1, 2)
        embedded: Tensor = self.model.quantizer.decode(sides)
        return embedded

    def audio(self, sound: Tensor) -> Tensor:
        """Float32 [B, C, n] of the decoder's rows [B * C, 1, n]."""
        rows, _, samples = sound.shape
        return sound.reshape(rows // self.channels, self.channels, samples).float()


def _check(fits: bool, difference: str) -> None:
    if not fits:
        raise SidemanError(
            Code.BAD_FILE,
            f"the model's EnCodec {difference}, which MusicGen's does not: use the codec that "
            "came with the model",
        )
