"""A tiny model written as audiocraft exports one: the inverse of what the loader renames."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from engine.models.musicgen.model import MusicGen

DECODER = (
    (r"^model\.decoder\.embed_tokens\.", "emb."),
    (r"^model\.decoder\.layer_norm\.", "out_norm."),
    (r"^model\.decoder\.", "transformer."),
    (r"^lm_heads\.", "linears."),
    (r"\.self_attn_layer_norm\.", ".norm1."),
    (r"\.encoder_attn_layer_norm\.", ".norm_cross."),
    (r"\.final_layer_norm\.", ".norm2."),
    (r"\.encoder_attn\.", ".cross_attention."),
    (r"\.fc(\d)\.", r".linear\1."),
)

CODEC = (
    (r"^(encoder|decoder)\.layers\.", r"\1.model."),
    (r"^quantizer\.layers\.", "quantizer.vq.layers."),
    (r"\.codebook\.", "._codebook."),
    (r"\.parametrizations\.weight\.original0$", ".weight_g"),
    (r"\.parametrizations\.weight\.original1$", ".weight_v"),
)

TRANSPOSED = re.compile(r"^decoder\.model\.(3|6|9|12)\.conv\.")
"""Where the tiny codec's decoder upsamples, by its four ratios."""

Change = Callable[[dict[str, Any], dict[str, Tensor]], None]


def _nothing(settings: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    pass


def settings(model: MusicGen) -> dict[str, Any]:
    """What ``xp.cfg`` says of the language model."""
    decoder = model.network.config.decoder
    stereo = model.channels == 2
    return {
        "lm_model": "transformer_lm",
        "interleave_stereo_codebooks": {"use": stereo, "per_timestep": False},
        "codebooks_pattern": {
            "modeling": "delay",
            "delay": {"delays": list(model.delay.delays), "flatten_first": 0},
        },
        "transformer_lm": {
            "dim": decoder.hidden_size,
            "num_heads": decoder.num_attention_heads,
            "num_layers": decoder.num_hidden_layers,
            "hidden_scale": decoder.ffn_dim // decoder.hidden_size,
            "n_q": decoder.num_codebooks,
            "card": decoder.vocab_size,
            "activation": "gelu",
            "norm_first": True,
            "bias_ff": False,
            "bias_attn": False,
            "bias_proj": False,
            "positional_embedding": "sin",
        },
        "fuser": {
            "cross_attention_pos_emb": False,
            "sum": [],
            "prepend": [],
            "cross": ["description"],
            "input_interpolate": [],
        },
        "conditioners": {
            "description": {
                "model": "t5",
                "t5": {"name": "t5-base", "finetune": False, "normalize_text": False},
            }
        },
    }


def codec_settings(model: MusicGen) -> dict[str, Any]:
    """What ``xp.cfg`` says of the codec, with references as OmegaConf leaves them."""
    codec = model.network.config.audio_encoder
    return {
        "channels": 1,
        "sample_rate": codec.sampling_rate,
        "compression_model": "encodec",
        "encodec": {
            "autoencoder": "seanet",
            "quantizer": "rvq",
            "sample_rate": "${sample_rate}",
            "channels": "${channels}",
            "causal": codec.use_causal_conv,
            "renormalize": False,
        },
        "seanet": {
            "dimension": codec.hidden_size,
            "channels": "${channels}",
            "causal": "${encodec.causal}",
            "n_filters": codec.num_filters,
            "n_residual_layers": codec.num_residual_layers,
            "ratios": list(codec.upsampling_ratios),
            "activation": "ELU",
            "norm": "weight_norm",
            "kernel_size": codec.kernel_size,
            "residual_kernel_size": codec.residual_kernel_size,
            "last_kernel_size": codec.last_kernel_size,
            "dilation_base": codec.dilation_growth_rate,
            "pad_mode": codec.pad_mode,
            "true_skip": not codec.use_conv_shortcut,
            "compress": codec.compress,
            "lstm": codec.num_lstm_layers,
            "decoder": {"trim_right_ratio": 1.0, "final_activation": None},
            "encoder": {},
        },
        "rvq": {"n_q": codec.num_quantizers, "bins": codec.codebook_size},
    }


def decoder_tensors(model: MusicGen) -> dict[str, Tensor]:
    """The language model under audiocraft's names, q, k and v in one."""
    theirs: dict[str, Tensor] = {}
    for name, tensor in model.network.decoder.state_dict().items():
        new = _renamed(name, DECODER)
        packed = re.sub(r"\.[qkv]_proj\.weight$", ".in_proj_weight", new)
        if packed == new:
            theirs[new] = tensor.clone()
    for layer, module in enumerate(model.network.decoder.model.decoder.layers):
        for theirs_name, ours in (("self_attn", "self_attn"), ("cross_attention", "encoder_attn")):
            attention = getattr(module, ours)
            parts = [getattr(attention, f"{part}_proj").weight.detach() for part in "qkv"]
            name = f"transformer.layers.{layer}.{theirs_name}.in_proj_weight"
            theirs[name] = torch.cat(parts)
    for name, tensor in model.network.enc_to_dec_proj.state_dict().items():
        theirs[f"condition_provider.conditioners.description.output_proj.{name}"] = tensor.clone()
    return theirs


def codec_tensors(model: MusicGen) -> dict[str, Tensor]:
    """The codec under audiocraft's names."""
    theirs = {}
    for name, tensor in model.codec.state_dict().items():
        new = _renamed(name, CODEC)
        twice = ".convtr.convtr." if TRANSPOSED.search(new) else ".conv.conv."
        theirs[new.replace(".conv.", twice)] = tensor.clone()
    return theirs


def write(
    parent: Path,
    model: MusicGen,
    source: Path,
    *,
    change: Change = _nothing,
    change_codec: Change = _nothing,
) -> Path:
    """A folder in audiocraft's layout, the text encoder of ``source`` in it."""
    folder = parent / "exported"
    folder.mkdir()
    said, tensors = settings(model), decoder_tensors(model)
    change(said, tensors)
    save(folder / "state_dict.bin", said, tensors)
    said, tensors = codec_settings(model), codec_tensors(model)
    change_codec(said, tensors)
    save(folder / "compression_state_dict.bin", said, tensors)
    model.network.text_encoder.save_pretrained(folder / "t5-base")
    shutil.copy(source / "tokenizer.json", folder / "t5-base")
    return folder


def point(folder: Path, codec: str) -> None:
    """Have a folder name its codec, as fine-tunes do, and not hold it."""
    package = {"pretrained": codec, "exported": True, "version": "1.3.0"}
    torch.save(package, folder / "compression_state_dict.bin")


def save(path: Path, said: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """A file as audiocraft exports it."""
    package = {"best_state": dict(tensors), "xp.cfg": yaml.safe_dump(dict(said)), "exported": True}
    torch.save(package, path)


def _renamed(name: str, table: tuple[tuple[str, str], ...]) -> str:
    for pattern, new in table:
        name = re.sub(pattern, new, name)
    return name
