"""What a folder with a MusicGen in it is, told from its small files and the hashes of its large.

A folder from the hub, or out of audiocraft, has no ``model.json``; this makes what stands in one.
Nothing here imports torch, and no weights are held in memory.
"""

from __future__ import annotations

import json
import math
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.models.folder import (
    FORMAT,
    MODEL_JSON,
    ModelInfo,
    Part,
    Weights,
    bad_file,
    digest,
    digest_of,
)
from engine.models.musicgen import licence
from engine.models.musicgen.known import TINY, TINY_LICENCE
from engine.models.musicgen.layout import (
    CODEC_STATE_DICT,
    CONFIG_JSON,
    FAMILY,
    SAFETENSORS,
    STATE_DICT,
    is_one,
    read_config,
    weights_files,
)

MAX_HEADER = 1 << 24

DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}

PLANNED = {
    "layers": 2,
    "hidden": 32,
    "heads": 4,
    "ffn": 128,
    "codebooks": 4,
    "channels": 1,
    "card": 512,
    "text": 24,
    "sample_rate": 32_000,
    "frame_rate": 50,
}
"""Sizes of the tiny models, before they are made."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "decoder": {
        "num_hidden_layers": 24,
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "ffn_dim": 4096,
        "num_codebooks": 4,
        "audio_channels": 1,
        "vocab_size": 2048,
    },
    "text_encoder": {"d_model": 512},
    "audio_encoder": {"sampling_rate": 24_000, "upsampling_ratios": [8, 5, 4, 2]},
}
"""transformers' own sizes, which a ``config.json`` may leave out."""


def knows(folder: Path) -> bool:
    """Whether `describe` is for this folder: it holds a MusicGen, or is where one will be made."""
    return is_one(folder) or _is_planned(folder)


def describe(folder: Path, name: str = "") -> ModelInfo:
    """What ``model.json`` would say of a folder in either layout; called ``name``, or as it is.

    Of a tiny model that is not made yet it says all but the hash. Raises ``unknown-model`` where
    there is no MusicGen, or of a family that is not played; ``bad-file`` for what is damaged or
    would have to be unpickled.
    """
    if _is_planned(folder):
        return _planned(folder.name)
    parts = [folder / file for file in weights_files(folder)]
    if (folder / CONFIG_JSON).is_file():
        sizes, stored = _of_transformers(folder, parts)
    else:
        sizes, stored = _of_audiocraft(folder)
    return ModelInfo(
        format=FORMAT,
        name=name or folder.name,
        family=FAMILY,
        kind="audio",
        architecture=FAMILY,
        sizes=sizes,
        weights=_sealed(parts, stored),
        licence=licence.of_card(folder),
    )


def verify(folder: Path, info: ModelInfo) -> None:
    """Raise ``bad-file`` where a file of weights is not the one that ``info`` describes."""
    named = info.weights.parts or (Part(info.weights.file, info.weights.sha256),)
    for part in named:
        path = folder / part.file
        if not path.is_file():
            raise bad_file(path, f"is missing from the model folder {folder}")
        if digest(path) != part.sha256.lower():
            raise bad_file(path, f"is not the file that {MODEL_JSON} describes (SHA-256 differs)")


def _is_planned(folder: Path) -> bool:
    return folder.name in TINY.values() and not folder.exists()


def _planned(name: str) -> ModelInfo:
    channels = next(number for number, called in TINY.items() if called == name)
    sizes = PLANNED | {"channels": channels, "codebooks": channels * PLANNED["codebooks"]}
    return ModelInfo(
        format=FORMAT,
        name=name,
        family=FAMILY,
        kind="audio",
        architecture=FAMILY,
        sizes=sizes,
        weights=Weights(SAFETENSORS, ""),
        licence=TINY_LICENCE,
    )


def _of_transformers(folder: Path, parts: list[Path]) -> tuple[dict[str, int], str]:
    """Sizes of a folder in transformers' layout, and what its weights are stored as."""
    path = folder / CONFIG_JSON
    config = read_config(path)
    said: dict[str, Any] = {}
    for part, defaults in DEFAULTS.items():
        given = config.get(part)
        if not isinstance(given, dict):
            raise bad_file(path, f"says nothing of its {part}")
        said |= defaults | {name: given[name] for name in defaults if name in given}
    ratios = said.pop("upsampling_ratios")
    numbers = list(said.values())
    if not isinstance(ratios, list) or not all(
        isinstance(n, int) and 0 < n < 1 << 24 for n in (*ratios, *numbers)
    ):
        raise bad_file(path, "has sizes that are no numbers")
    headers = [_header(part) for part in parts]
    tensors = [entry for header in headers for entry in header.values()]
    kinds = [str(entry.get("dtype")) for entry in tensors]
    stored = max(DTYPES, key=kinds.count)
    sizes = {
        "layers": said["num_hidden_layers"],
        "hidden": said["hidden_size"],
        "heads": said["num_attention_heads"],
        "ffn": said["ffn_dim"],
        "codebooks": said["num_codebooks"],
        "channels": said["audio_channels"],
        "card": said["vocab_size"],
        "text": said["d_model"],
        "sample_rate": said["sampling_rate"],
        "frame_rate": math.ceil(said["sampling_rate"] / math.prod(ratios)),
        "parameters": sum(math.prod(entry.get("shape", ())) for entry in tensors),
    }
    return sizes, DTYPES[stored]


def _of_audiocraft(folder: Path) -> tuple[dict[str, int], str]:
    """The same of a folder in audiocraft's layout."""
    from engine.models.musicgen import settings as of  # YAML is in the extra

    path = folder / STATE_DICT
    said, stored = of.read(path)
    of.check_language_model(path, said)
    size = {
        ours: of.number(path, said, f"transformer_lm.{theirs}")
        for ours, theirs in (
            ("layers", "num_layers"),
            ("hidden", "dim"),
            ("heads", "num_heads"),
            ("ffn", "hidden_scale"),
            ("codebooks", "n_q"),
            ("card", "card"),
        )
    }
    size["ffn"] *= size["hidden"]
    size["channels"] = 2 if of.is_stereo(path, said) else 1
    rate, frames = _codec_rates(folder)
    return size | {"sample_rate": rate, "frame_rate": frames}, stored


def _codec_rates(folder: Path) -> tuple[int, int]:
    """Samples and frames a second of audiocraft's codec; the published one's behind a pointer."""
    from engine.models.musicgen import settings as of

    path = folder / CODEC_STATE_DICT
    if "pretrained" in of.peek(path)[0]:
        return PLANNED["sample_rate"], PLANNED["frame_rate"]
    said, _ = of.read(path)
    rate, ratios = of.number(path, said, "encodec.sample_rate"), of.at(said, "seanet.ratios")
    if not isinstance(ratios, list) or not all(isinstance(r, int) and r > 0 for r in ratios):
        raise bad_file(path, f"seanet.ratios is {str(ratios)[:40]!r}")
    return rate, math.ceil(rate / math.prod(ratios))


def _sealed(parts: list[Path], stored: str) -> Weights:
    """The files with their hashes, which are made once for files that do not change."""
    named = []
    for path in parts:
        if not path.is_file():
            raise bad_file(path, f"is missing from the model folder {path.parent}")
        about = path.stat()
        named.append(Part(path.name, _digest(path, about.st_size, about.st_mtime_ns)))
    if len(named) == 1:
        return Weights(named[0].file, named[0].sha256, stored)
    return Weights(named[0].file, digest_of(tuple(named)), stored, tuple(named))


@lru_cache(maxsize=64)
def _digest(path: Path, _size: int, _modified_ns: int) -> str:
    return digest(path)


def _header(path: Path) -> dict[str, dict[str, Any]]:
    """The tensors that a file of safetensors says it has."""
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            if size > MAX_HEADER:
                raise bad_file(path, "not a safetensors file: its header is too large")
            header = json.loads(file.read(size))
            return {name: entry for name, entry in header.items() if name != "__metadata__"}
    except (OSError, struct.error, ValueError, AttributeError, RecursionError) as error:
        raise bad_file(path, "not a safetensors file") from error
