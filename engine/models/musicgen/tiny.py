"""A MusicGen of random weights, made in a second without a network: for tests and benches.

It has the real one's shape (T5, a decoder, EnCodec with 50 frames a second at 32 kHz, four
codebooks for each channel) and its folder's layout, and it makes noise. Its name says so.

Importing this module imports torch and transformers.
"""

from __future__ import annotations

import math
import string
from pathlib import Path
from typing import Any

import torch
from msgspec.structs import replace
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    EncodecConfig,
    EncodecFeatureExtractor,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    PreTrainedTokenizerFast,
    T5Config,
)

from engine.models.folder import MODEL_JSON, write_description
from engine.models.musicgen.describe import describe
from engine.models.musicgen.known import TINY, TINY_LICENCE

SAMPLE_RATE = 32_000
RATIOS = (8, 5, 4, 4)
"""Upsampling of the codec's decoder: 640 samples a frame."""

FRAME_RATE = SAMPLE_RATE // math.prod(RATIOS)
QUANTIZERS = 4
HEARING = 300
"""How much more the encoder's last layer makes of what it is given: so that codes differ."""

SPECIAL = ("<pad>", "</s>", "<unk>")
"""T5's first three tokens, in its order."""


def write(parent: Path, *, channels: int = 1, **sizes: int) -> Path:
    """Write a model folder into ``parent`` and return it; the same for the same arguments.

    ``sizes`` are those of :func:`make`.
    """
    folder = parent / TINY[channels]
    network = make(channels=channels, **sizes)
    network.save_pretrained(folder)
    wrapper: Any = PreTrainedTokenizerFast
    wrapper(
        tokenizer_object=tokenizer(), pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    EncodecFeatureExtractor(feature_size=channels, sampling_rate=SAMPLE_RATE).save_pretrained(
        folder
    )
    licensed = replace(describe(folder), licence=TINY_LICENCE)
    write_description(folder / MODEL_JSON, licensed)
    return folder


def make(
    *,
    channels: int = 1,
    seed: int = 0,
    layers: int = 2,
    hidden: int = 32,
    heads: int = 4,
    card: int = 512,
) -> Any:
    """The network alone, a ``MusicgenForConditionalGeneration`` in float32.

    ``card`` is the number of entries of a codebook, a power of two.
    """
    bandwidth = QUANTIZERS * math.log2(card) * FRAME_RATE / 1000
    config = MusicgenConfig(
        text_encoder=T5Config(
            vocab_size=tokenizer().get_vocab_size(),
            d_model=24,
            d_kv=8,
            d_ff=48,
            num_layers=2,
            num_heads=3,
        ),
        audio_encoder=EncodecConfig(
            sampling_rate=SAMPLE_RATE,
            audio_channels=1,
            num_filters=4,
            hidden_size=16,
            upsampling_ratios=list(RATIOS),
            codebook_size=card,
            target_bandwidths=[bandwidth],
            use_causal_conv=False,
            use_conv_shortcut=False,
        ),
        decoder=MusicgenDecoderConfig(
            vocab_size=card,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            ffn_dim=4 * hidden,
            num_codebooks=QUANTIZERS * channels,
            audio_channels=channels,
            pad_token_id=card,
            bos_token_id=card,
        ),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: Any = MusicgenForConditionalGeneration(config)
        _spread(network)
    return network.eval()


def tokenizer() -> Tokenizer:
    """Splits words into letters, so that no text is unknown to it; ends every text as T5 does."""
    letters = string.ascii_lowercase + string.digits + string.punctuation
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters)]
    made = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="<unk>")
    )
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", SPECIAL.index("</s>"))]
    )
    return made


@torch.no_grad()
def _spread(network: Any) -> None:
    """Weights so large that the prompt, the past and every codebook change what is predicted.

    Those that transformers begins with are for training: their logits hardly differ.
    """
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if name.startswith("audio_encoder.quantizer"):
            if name.endswith((".embed", ".embed_avg")):
                tensor.normal_()
        elif name.startswith("audio_encoder") or not tensor.is_floating_point():
            continue
        elif name.endswith("bias"):
            tensor.normal_(std=0.1)
        elif tensor.ndim == 2 and "embed" not in name:
            tensor.normal_(std=2 / math.sqrt(tensor.shape[1]))
        elif tensor.ndim == 2 and "position" not in name:
            tensor.normal_()
    # Untrained, the encoder hears hardly more in sound than in silence: one code throughout.
    encoder = network.audio_encoder.encoder
    last = encoder.layers[-1].conv
    last.parametrizations.weight.original0.mul_(HEARING)
    silence = encoder(torch.zeros(1, 1, SAMPLE_RATE))
    last.bias.sub_(silence[0].mean(-1))
