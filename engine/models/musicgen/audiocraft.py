"""A model folder in audiocraft's layout: ``state_dict.bin`` and ``compression_state_dict.bin``.

Both are what audiocraft's export writes: tensors, and the settings as YAML in a string. They are
read without unpickling objects. The text encoder is in neither; it must lie in the folder or beside
it, in transformers' layout, under the name that the settings give it (``t5-base``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor
from transformers import (
    EncodecConfig,
    EncodecModel,
    MusicgenConfig,
    MusicgenDecoderConfig,
    MusicgenForConditionalGeneration,
    T5EncoderModel,
)
from transformers.initialization import no_init_weights

from engine.errors import Code, SidemanError
from engine.models.folder import bad_file
from engine.models.musicgen import licence, weights
from engine.models.musicgen.checkpoint import Checkpoint, quiet, read_tokenizer
from engine.models.musicgen.delay import Delay
from engine.models.musicgen.layout import CODEC_STATE_DICT, CONFIG_JSON, STATE_DICT, beside
from engine.models.musicgen.settings import (
    CODEC,
    Settings,
    at,
    check_language_model,
    expect,
    is_stereo,
    number,
    parse,
    text_encoder,
)

TEXT_DECODER = r"(decoder\.|lm_head\.).*"
"""Tensors of a whole T5, as it lies on the hub, that its encoder has no use for."""

DECODER_RENAMES = (
    (r"^emb\.", "model.decoder.embed_tokens."),
    (r"^transformer\.", "model.decoder."),
    (r"^out_norm\.", "model.decoder.layer_norm."),
    (r"^linears\.", "lm_heads."),
    (r"\.cross_attention\.", ".encoder_attn."),
    (r"\.linear(\d)\.", r".fc\1."),
    (r"\.norm1\.", ".self_attn_layer_norm."),
    (r"\.norm_cross\.", ".encoder_attn_layer_norm."),
    (r"\.norm2\.", ".final_layer_norm."),
)
"""audiocraft's names of the language model → transformers', one after another."""

CODEC_RENAMES = (
    (r"^(encoder|decoder)\.model\.", r"\1.layers."),
    (r"\.(conv|convtr)\.\1\.", ".conv."),
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
    (r"^quantizer\.vq\.layers\.", "quantizer.layers."),
    (r"\._codebook\.", ".codebook."),
)
"""The same of the codec."""

PROJECTION = "condition_provider.conditioners.description.output_proj."
"""Where audiocraft has the layer from the text encoder's width to the decoder's."""

PACKED = ".in_proj_weight"
"""Ends the names of queries, keys and values in one."""


def load(folder: Path) -> Checkpoint:
    """Load a folder in this layout, on the processor.

    Raises ``unknown-model`` for families that are not played, and where text encoder or codec are
    nowhere; ``bad-file`` for settings that transformers' MusicGen has no counterpart for, tensors
    that are missing or too many, and files that would have to be unpickled.
    """
    path = folder / STATE_DICT
    settings, tensors = _read(path)
    check_language_model(path, settings)
    text, text_folder = _text_encoder(folder, settings)
    codec = _codec(folder)
    decoder = _decoder_config(path, settings)
    with quiet(), no_init_weights():
        network: Any = MusicgenForConditionalGeneration(
            MusicgenConfig(
                text_encoder=text.config.to_dict(),
                audio_encoder=codec.config.to_dict(),
                decoder=decoder.to_dict(),
            )
        )
    network.text_encoder, network.audio_encoder = text, codec
    renamed = _decoder_tensors(tensors)
    projection = {
        name.removeprefix(PROJECTION): renamed.pop(name)
        for name in list(renamed)
        if name.startswith(PROJECTION)
    }
    _fill(path, network.decoder, renamed)
    if hasattr(network, "enc_to_dec_proj"):
        _fill(path, network.enc_to_dec_proj, projection)
    elif projection:
        raise bad_file(path, f"{PROJECTION}weight has no use: the text encoder is as wide")
    return Checkpoint(network, read_tokenizer(text_folder), folder.name, licence.of(folder))


def _read(path: Path) -> tuple[Settings, dict[str, Tensor]]:
    """Settings and tensors of an exported file."""
    package = _unpickled(path)
    if "xp.cfg" not in package or "best_state" not in package:
        raise bad_file(path, "is no export of audiocraft: it lacks xp.cfg or best_state")
    text, tensors = package["xp.cfg"], package["best_state"]
    settings = parse(path, text)
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise bad_file(path, "has a best_state that holds more than tensors")
    return settings, {name: tensor.float() for name, tensor in tensors.items()}


def _unpickled(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise bad_file(path, f"is missing from the model folder {path.parent}")
    try:
        package = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file may be damaged in any way
        if "weights_only" in str(error).lower() or "unsupported" in str(error).lower():
            raise bad_file(
                path,
                "holds objects that would have to be unpickled, which can run code: export it "
                "again with audiocraft's export_lm or export_encodec",
            ) from error
        raise bad_file(path, f"cannot be read: {str(error).partition(chr(10))[0][:200]}") from error
    if not isinstance(package, dict):
        raise bad_file(path, "is no export of audiocraft")
    return package


def _decoder_config(path: Path, settings: Settings) -> Any:
    """The decoder's sizes."""
    numbers = {
        name: number(path, settings, f"transformer_lm.{name}")
        for name in ("dim", "num_heads", "num_layers", "hidden_scale", "n_q", "card")
    }
    channels = 2 if is_stereo(path, settings) else 1
    expected = list(Delay(numbers["n_q"], channels, 0).delays)
    if (delays := at(settings, "codebooks_pattern.delay.delays", expected)) != expected:
        raise bad_file(path, f"has delays {str(delays)[:40]}, and only {expected} are played")
    return MusicgenDecoderConfig(
        vocab_size=numbers["card"],
        hidden_size=numbers["dim"],
        num_hidden_layers=numbers["num_layers"],
        num_attention_heads=numbers["num_heads"],
        ffn_dim=numbers["dim"] * numbers["hidden_scale"],
        num_codebooks=numbers["n_q"],
        audio_channels=channels,
        pad_token_id=numbers["card"],
        bos_token_id=numbers["card"],
    )


def _decoder_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The language model's tensors under transformers' names."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        new = name if name.startswith(PROJECTION) else _renamed(name, DECODER_RENAMES)
        if not new.endswith(PACKED):
            renamed[new] = tensor
            continue
        for part, rows in zip("qkv", tensor.chunk(3), strict=True):
            renamed[f"{new.removesuffix(PACKED)}.{part}_proj.weight"] = rows
    return renamed


def _renamed(name: str, table: tuple[tuple[str, str], ...]) -> str:
    for pattern, new in table:
        name = re.sub(pattern, new, name)
    return name


def _fill(path: Path, module: Any, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors into a module: each has its place, and each place its tensor."""
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    for names, what in (
        (tensors.keys() - wanted.keys(), "has tensors that this model has no use for"),
        (wanted.keys() - tensors.keys(), "lacks tensors"),
    ):
        if names:
            raise bad_file(path, f"{what}, {len(names)} in all: {min(names)[:100]}")
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != wanted[name]:
            raise bad_file(
                path, f"{name} is {list(tensor.shape)}, and its settings say {list(wanted[name])}"
            )
    module.load_state_dict(tensors)


def _text_encoder(folder: Path, settings: Settings) -> tuple[Any, Path]:
    name = text_encoder(settings)
    found = beside(folder, name, (CONFIG_JSON,))
    if found is None:
        raise SidemanError(
            Code.UNKNOWN_MODEL,
            f"{folder.name} needs the text encoder {name}, which its files do not hold: put the "
            f"folder {PurePosixPath(name).name} of transformers' layout into it or beside it",
        )
    return weights.load_network(T5EncoderModel, found, TEXT_DECODER).eval(), found


def _codec(folder: Path) -> Any:
    """The codec: in this folder, or where its pointer names one, in it or beside it."""
    path = folder / CODEC_STATE_DICT
    package = _unpickled(path)
    if "pretrained" in package:
        name = str(package["pretrained"])[:100]
        found = beside(folder, name, (CONFIG_JSON, CODEC_STATE_DICT))
        if found is None:
            raise SidemanError(
                Code.UNKNOWN_MODEL,
                f"{folder.name} needs the codec {name}, which its files only point to: put the "
                f"folder {PurePosixPath(name).name} into it or beside it",
            )
        if (found / CONFIG_JSON).is_file():
            return weights.load_network(EncodecModel, found).eval()
        path = found / CODEC_STATE_DICT
    settings, tensors = _read(path)
    expect(path, settings, CODEC)
    with quiet(), no_init_weights():
        codec: Any = EncodecModel(_codec_config(path, settings))
    _fill(path, codec, {_renamed(name, CODEC_RENAMES): t for name, t in tensors.items()})
    return codec.eval()


def _codec_config(path: Path, settings: Settings) -> Any:
    """The codec's settings; what is left unsaid is as audiocraft's classes have it."""
    ratios = at(settings, "seanet.ratios")
    if not isinstance(ratios, list) or not all(isinstance(r, int) and r > 0 for r in ratios):
        raise bad_file(path, f"seanet.ratios is {str(ratios)[:40]!r}")
    rate = number(path, settings, "encodec.sample_rate")
    bins, quantizers = number(path, settings, "rvq.bins"), number(path, settings, "rvq.n_q")
    frame_rate = math.ceil(rate / math.prod(ratios))
    return EncodecConfig(
        sampling_rate=rate,
        audio_channels=1,
        normalize=bool(at(settings, "encodec.renormalize", False)),
        target_bandwidths=[quantizers * math.log2(bins) * frame_rate / 1000],
        codebook_size=bins,
        hidden_size=number(path, settings, "seanet.dimension"),
        num_filters=number(path, settings, "seanet.n_filters"),
        num_residual_layers=number(path, settings, "seanet.n_residual_layers"),
        upsampling_ratios=ratios,
        norm_type=at(settings, "seanet.norm", "weight_norm"),
        kernel_size=number(path, settings, "seanet.kernel_size"),
        last_kernel_size=number(path, settings, "seanet.last_kernel_size"),
        residual_kernel_size=number(path, settings, "seanet.residual_kernel_size"),
        dilation_growth_rate=number(path, settings, "seanet.dilation_base"),
        use_causal_conv=bool(at(settings, "seanet.causal", False)),
        pad_mode=at(settings, "seanet.pad_mode", "reflect"),
        compress=number(path, settings, "seanet.compress"),
        num_lstm_layers=number(path, settings, "seanet.lstm"),
        trim_right_ratio=float(at(settings, "seanet.decoder.trim_right_ratio", 1.0)),
        use_conv_shortcut=not at(settings, "seanet.true_skip", True),
    )
