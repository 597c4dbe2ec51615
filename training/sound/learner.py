"""A MusicGen that learns: its base, corrections on it, and the loss of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own idiom
from torch.utils.checkpoint import checkpoint

from engine.models.folder import MODEL_JSON
from engine.models.musicgen import installing
from engine.models.musicgen.loading import load_checkpoint
from engine.models.musicgen.model import MusicGen
from engine.models.store import can_be_made
from training.parallel import Group, bf16
from training.sound.audio_config import AudioConfig
from training.sound.dataset import Clips, Told
from training.sound.delayed import Delayed, delayed
from training.sound.encoded import Prompts
from training.sound.lora import Lora
from training.sound.stages import spread

DTYPES = {
    "bf16": ("bfloat16", torch.bfloat16),
    "fp16": ("float16", torch.float16),
    "fp32": ("float32", torch.float32),
}
"""``--precision`` → the engine's name, and torch's."""

DROPOUTS = ("dropout", "activation_dropout", "layerdrop")
"""Where transformers' modules keep how much the base drops."""


class Learner:
    """One model in training, and the clips that it learns from as codes and encoded prompts."""

    def __init__(
        self, config: AudioConfig, clips: Clips, group: Group, told: Told | None = None
    ) -> None:
        """Load the base, make what codes are missing, encode the prompts, add the corrections.

        Draws from torch's default generator. Raises ``bad-file``, ``bad-arguments`` and
        ``unknown-model`` for what cannot be trained.
        """
        device = group.device
        if config.precision == "auto":
            precision = "bf16" if bf16(config.precision, device) else "fp32"
        else:
            precision = config.precision
        name, self.dtype = DTYPES[precision]
        self.device = device
        base = load_base(config.base)
        loaded = load_checkpoint(base, device=str(device), precision=name)
        self.model = MusicGen(loaded)
        """The base as the engine has it; its parameters are those that are trained on."""

        self.prompts = Prompts(loaded, [clip.prompt for clip in clips.clips])
        if group.leads:
            clips.encode(self.model, told)
        group.agree(1.0)  # the others wait until the codes are there
        network = self.model.network
        # What they give is kept: the room is the decoder's.
        network.text_encoder.cpu()
        network.audio_encoder.cpu()
        _drop_nothing(network.decoder)
        self.lora = Lora(
            network, config.target, rank=config.rank, alpha=config.alpha, dropout=config.dropout,
            prompts=not self.prompts.silent,
        )  # fmt: skip
        if self.dtype != torch.float32:
            self.lora.trust_autocast()
        if config.recompute:
            _recompute(network.decoder)
        self.end = spread(network.decoder, config.stages, device)
        """Where hidden states come out and labels have to be."""

    @property
    def card(self) -> int:
        """Codes of a codebook."""
        return self.model.packed.card

    def batch(
        self, codes: Sequence[Tensor], texts: Sequence[str | None]
    ) -> tuple[Delayed, Tensor, Tensor]:
        """Clips' codes ``[K, T]`` and their prompts, None where one is withheld, as a batch."""
        states, there = self.prompts.batch(texts)
        both = delayed(codes, self.model.delay)
        return both, states, there

    def losses(self, codes: Sequence[Tensor], texts: Sequence[str | None]) -> Tensor:
        """The loss of each codebook, added up over all codes that are asked for: float ``[K]``.

        Every clip of the batch counts as much as it is long.
        """
        both, states, there = self.batch(codes, texts)
        both = both.to(self.device)
        with self._narrow():
            heard = self._hidden(both.inputs, states.to(self.device), there.to(self.device))
            wanted = both.labels.to(self.end)
            heads = self.model.network.decoder.lm_heads
            sums = []
            for book, head in enumerate(heads):
                labels = wanted[:, book]
                asked = labels >= 0
                logits = head(heard[asked]).float()
                sums.append(F.cross_entropy(logits, labels[asked], reduction="sum"))
        return torch.stack(sums)

    def _hidden(self, inputs: Tensor, states: Tensor, there: Tensor) -> Tensor:
        """What the heads read, ``[B, S, D]``."""
        network = self.model.network
        projection = getattr(network, "enc_to_dec_proj", None)
        if projection is not None:
            states = projection(states)
        # The projection has a bias: rows of nothing are zero behind it, not before.
        states = states * there[..., None]
        # One place is always looked at: attention to nothing at all is undefined, to a zero it
        # is zero.
        looked_at = there.clone()
        looked_at[:, 0] = True
        hidden: Tensor = network.decoder.model(
            inputs,
            encoder_hidden_states=states.to(network.decoder.dtype),
            encoder_attention_mask=looked_at,
            use_cache=False,
        ).last_hidden_state
        return hidden

    def _narrow(self) -> AbstractContextManager[None]:
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)


def load_base(folder: Path) -> Path:
    """The folder of the base, which is made where it is one of those made on the spot."""
    if not (folder / MODEL_JSON).is_file() and can_be_made(folder.name):
        return installing.make(folder.name)
    return folder


def _drop_nothing(decoder: Any) -> None:
    """Have the base drop nothing, in training mode either: it is not what is trained."""
    for module in decoder.modules():
        for name in DROPOUTS:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def _recompute(decoder: Any) -> None:
    """Have each layer computed anew on the way back, instead of keeping what is between."""
    for layer in decoder.model.decoder.layers:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
