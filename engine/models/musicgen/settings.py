"""audiocraft's settings: YAML in a string inside a checkpoint, and what of it can be played.

`peek` finds them without loading the tensors, and without torch.
"""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from engine.errors import Code, SidemanError
from engine.models.folder import MAX_JSON, bad_file
from engine.models.musicgen.known import INSTEAD, MELODY, OTHERS

MAX_INDEX = 1 << 24
"""Bytes; the largest index of tensors that is looked through."""

MAGNET = "transformer_lm_magnet"
"""What MAGNeT's settings call its language model."""

WAYS = ("sum", "prepend", "input_interpolate")
"""How conditions may come in that are not looked at across."""

T5 = "t5-base"
"""The text encoder of settings that name none."""

Settings = Mapping[str, Any]

LANGUAGE_MODEL = {
    "lm_model": "transformer_lm",
    "codebooks_pattern.modeling": "delay",
    "codebooks_pattern.delay.flatten_first": 0,
    "codebooks_pattern.delay.empty_initial": 0,
    "transformer_lm.norm_first": True,
    "transformer_lm.bias_ff": False,
    "transformer_lm.bias_attn": False,
    "transformer_lm.bias_proj": False,
    "transformer_lm.causal": True,
    "transformer_lm.activation": "gelu",
    "transformer_lm.norm": "layer_norm",
    "transformer_lm.positional_embedding": "sin",
    "transformer_lm.positional_scale": 1.0,
    "transformer_lm.max_period": 10_000,
    "transformer_lm.xpos": False,
    "transformer_lm.layer_scale": None,
    "transformer_lm.past_context": None,
    "transformer_lm.qk_layer_norm": False,
    "transformer_lm.qk_layer_norm_cross": False,
    "transformer_lm.kv_repeat": 1,
    "fuser.cross_attention_pos_emb": False,
    "conditioners.description.model": "t5",
    "conditioners.description.t5.normalize_text": False,
}
"""What the settings must say where they say it, for transformers' MusicGen has no other way."""

CODEC = {
    "compression_model": "encodec",
    "encodec.autoencoder": "seanet",
    "encodec.quantizer": "rvq",
    "encodec.channels": 1,
    "seanet.channels": 1,
    "seanet.activation": "ELU",
    "seanet.activation_params.alpha": 1.0,
    "seanet.disable_norm_outer_blocks": 0,
    "seanet.decoder.final_activation": None,
    "seanet.encoder": {},
}
"""The same of the codec."""

STORED = {b"HalfStorage": "float16", b"BFloat16Storage": "bfloat16", b"FloatStorage": "float32"}
"""torch's names of what tensors are stored as, in the index of a file."""


def parse(path: Path, text: Any) -> Settings:
    """The settings in a checkpoint's ``xp.cfg``. Raises ``bad-file``."""
    if not isinstance(text, str) or len(text) > MAX_JSON:
        raise bad_file(path, "has settings that are not text")
    try:
        settings = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise bad_file(path, "has settings that are not valid YAML") from error
    if not isinstance(settings, dict):
        raise bad_file(path, "has settings that are not a table")
    return settings


def at(settings: Settings, path: str, otherwise: Any = None) -> Any:
    """What the settings say at a place like ``seanet.ratios``, references followed."""
    value: Any = settings
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return otherwise
        value = value[name]
    # Exports are written with OmegaConf's references in them: "${channels}".
    if isinstance(value, str) and (reference := re.fullmatch(r"\$\{([\w.]+)\}", value)):
        return None if reference[1] == path else at(settings, reference[1], otherwise)
    return value


def number(path: Path, settings: Settings, name: str) -> int:
    """A whole number of the settings. Raises ``bad-file`` where it is none."""
    value = at(settings, name)
    if not isinstance(value, int) or not 0 < value < 1 << 20:
        raise bad_file(path, f"{name} is {str(value)[:40]!r}, and must be a number")
    return value


def expect(path: Path, settings: Settings, table: Mapping[str, Any]) -> None:
    """Raise ``bad-file`` where the settings say otherwise than the table."""
    for name, wanted in table.items():
        if (said := at(settings, name, wanted)) != wanted:
            raise bad_file(path, f"{name} is {str(said)[:40]!r}, and only {wanted!r} is played")


def check_language_model(path: Path, settings: Settings) -> None:
    """Raise ``unknown-model`` for a family that is not played, ``bad-file`` for unplayed settings.

    ``path`` is the file that they were read from.
    """
    if not isinstance(at(settings, "conditioners", {}), Mapping):
        raise bad_file(path, "is of a model that hears no text, which is not played")
    if (why := _unplayed(settings)) is not None:
        raise SidemanError(Code.UNKNOWN_MODEL, f"{path.parent.name} {why}")
    expect(path, settings, LANGUAGE_MODEL)


def _unplayed(settings: Settings) -> str | None:
    """Why a model of this family is not played; None where it may be."""
    if at(settings, "lm_model") == MAGNET:
        return OTHERS["magnet"]
    heard = set(at(settings, "conditioners", {})) - {"description", "args"}
    fused = any(at(settings, f"fuser.{way}", ()) for way in WAYS)
    if at(settings, "conditioners.self_wav.model") == "style":
        return OTHERS["style"]
    if heard - {"self_wav"}:
        return f"hears {', '.join(sorted(map(str, heard)))[:80]} beside its text; {INSTEAD}"
    return MELODY if heard or fused else None


def is_stereo(path: Path, settings: Settings) -> bool:
    """Whether codebooks of both sides stand by turns. Raises ``bad-file`` for another stereo."""
    stereo = bool(at(settings, "interleave_stereo_codebooks.use", False))
    if stereo and at(settings, "interleave_stereo_codebooks.per_timestep", False):
        raise bad_file(path, "has stereo by turns of time steps, and only of codebooks is played")
    return stereo


def text_encoder(settings: Settings) -> str:
    """The name of the text encoder, which the checkpoint does not hold."""
    return str(at(settings, "conditioners.description.t5.name", T5))[:100]


def peek(path: Path) -> tuple[dict[str, str], str]:
    """The texts of an exported checkpoint by their keys, and what its tensors are stored as.

    Its pickle is only taken apart, never run. Raises ``bad-file`` where it is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            index = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
            if archive.getinfo(index).file_size > MAX_INDEX:
                raise bad_file(path, "has an index of tensors that no model needs")
            pickled = archive.read(index)
        strings = list(_strings(pickled))
    except (OSError, zipfile.BadZipFile, StopIteration, ValueError, EOFError) as error:
        raise bad_file(path, "is no export of audiocraft: it cannot be read") from error
    texts = {
        key: value
        for key, value in pairwise(strings)
        if key in ("xp.cfg", "pretrained") and value is not None
    }
    stored = next((kind for name, kind in STORED.items() if name in pickled), "float32")
    return texts, stored


def read(path: Path) -> tuple[Settings, str]:
    """The settings of an exported checkpoint, and what its tensors are stored as; see `peek`."""
    texts, stored = peek(path)
    if "xp.cfg" not in texts:
        raise bad_file(
            path,
            "has no settings in words, so it holds objects or is no export: export it again with "
            "audiocraft's export_lm or export_encodec",
        )
    return parse(path, texts["xp.cfg"]), stored


def _strings(pickled: bytes) -> Iterator[str | None]:
    """Every string of a pickle as it comes, and None for whatever else there is."""
    for opcode, value, _ in pickletools.genops(pickled):
        if "UNICODE" in opcode.name:
            yield str(value)
        elif "PUT" not in opcode.name and opcode.name != "MEMOIZE":  # which only number it
            yield None
