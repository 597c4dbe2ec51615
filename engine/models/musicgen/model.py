"""A loaded MusicGen: what streams, the codec and adapters share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from engine.models.audio import Sampling
from engine.models.musicgen import concepts
from engine.models.musicgen.adapters import Adapters
from engine.models.musicgen.checkpoint import Checkpoint
from engine.models.musicgen.delay import Delay
from engine.models.musicgen.loading import load_checkpoint
from engine.models.musicgen.packed import Packed
from engine.models.musicgen.slots import Slots
from engine.models.musicgen.stream import Stream
from engine.models.musicgen.text import TextEncoder

TRAINED_SECONDS = 30
"""How long a sequence the models were trained with."""


class MusicGen:
    """One model's weights and what they can do; streams of it may be open in several threads."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        network = checkpoint.network
        self.name, self.licence = checkpoint.name, checkpoint.licence
        self.network: Any = network
        """transformers' ``MusicgenForConditionalGeneration``; its parameters are what is played."""

        self.packed = Packed(network.decoder)
        config = network.config
        self.slots = Slots(self.packed)
        """Buffers that streams have given back."""

        self.channels: int = config.decoder.audio_channels
        self.delay = Delay(self.packed.codebooks, self.channels, self.packed.card)
        self.text = TextEncoder(
            network.text_encoder,
            getattr(network, "enc_to_dec_proj", None),
            checkpoint.tokenizer,
            partial(concepts.embeddings, model=self.name),
        )
        self.adapters = Adapters(self.name, network)
        self.sample_rate: int = config.audio_encoder.sampling_rate
        self.frame_rate: int = config.audio_encoder.frame_rate
        """Frames a second."""

    @staticmethod
    def load(folder: Path, *, device: str = "cpu", precision: str = "auto") -> MusicGen:
        """Load a folder in transformers' layout or in audiocraft's.

        ``precision`` is ``float32``, ``bfloat16``, ``float16`` or ``auto``: float32 on the
        processor and bfloat16 elsewhere. Raises `SidemanError` as `load_checkpoint` does.
        """
        return MusicGen(load_checkpoint(folder, device=device, precision=precision))

    @property
    def codec(self) -> Any:
        """transformers' ``EncodecModel``, of one channel."""
        return self.network.audio_encoder

    @property
    def codebooks(self) -> int:
        """Codes of a frame, K: those of both channels by turns where there are two."""
        return self.packed.codebooks

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.packed.device

    @property
    def version(self) -> int:
        """Changes with the weights, when adapters come, go or count more or less."""
        return self.adapters.version

    def open(
        self,
        batch: int = 1,
        *,
        frames: int | None = None,
        sampling: Sampling | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Stream:
        """A stream of ``batch`` sequences at their beginning, with room for ``frames``.

        Seeds are 0, 1, 2 and so on unless they are given; room is for as long as the model was
        trained.
        """
        chosen = tuple(range(batch)) if seeds is None else tuple(seeds)
        if len(chosen) != batch:
            raise ValueError(f"{len(chosen)} seeds for {batch} sequences")
        room = TRAINED_SECONDS * self.frame_rate if frames is None else frames
        return Stream(self, chosen, frames=room, sampling=sampling)
