"""Which files a MusicGen's folder has, in transformers' layout and in audiocraft's.

Nothing here imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from engine.errors import Code, SidemanError
from engine.models.folder import MAX_JSON, bad_file
from engine.models.musicgen.known import MELODY

FAMILY = "musicgen"

CONFIG_JSON = "config.json"
TOKENIZER_JSON = "tokenizer.json"
SAFETENSORS = "model.safetensors"
INDEX = "model.safetensors.index.json"

STATE_DICT = "state_dict.bin"
CODEC_STATE_DICT = "compression_state_dict.bin"


def is_one(folder: Path) -> bool:
    """Whether a folder holds a MusicGen in either layout, whole or not, or a training run's."""
    if (folder / CONFIG_JSON).is_file():
        kind = read_config(folder / CONFIG_JSON).get("model_type")
        return isinstance(kind, str) and kind.startswith(FAMILY)
    return (folder / STATE_DICT).is_file() or any(folder.glob("*.th"))


def weights_files(folder: Path) -> list[str]:
    """The files of weights that are read from a folder, in order.

    Raises ``unknown-model`` where there is no MusicGen, or one of a family that is not played;
    ``bad-file`` where files are missing, or would have to be unpickled.
    """
    if (folder / CONFIG_JSON).is_file():
        check_type(folder.name, read_config(folder / CONFIG_JSON))
        return safetensors(folder)
    if (folder / STATE_DICT).is_file():
        if not (folder / CODEC_STATE_DICT).is_file():
            raise bad_file(folder / CODEC_STATE_DICT, f"is missing from the model folder {folder}")
        return [STATE_DICT, CODEC_STATE_DICT]
    if raw := sorted(path.name for path in folder.glob("*.th")):
        raise SidemanError(
            Code.BAD_FILE,
            f"{raw[0][:60]} is a raw checkpoint of a training run, which holds objects that would "
            f"have to be unpickled: export it with audiocraft's export_lm to {STATE_DICT}",
        )
    raise SidemanError(
        Code.UNKNOWN_MODEL,
        f"no MusicGen at {folder}: it has neither {CONFIG_JSON} nor {STATE_DICT}",
    )


def safetensors(folder: Path) -> list[str]:
    """The file of weights, or the files, of a folder in transformers' layout.

    Raises ``bad-file`` where there is none.
    """
    if (folder / SAFETENSORS).is_file():
        return [SAFETENSORS]
    if (folder / INDEX).is_file():
        return shards(folder / INDEX)
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    what = (
        f"{pickled[0][:60]} may hold objects that run code: run `sideman train import {folder}`"
        if pickled
        else f"is missing from the model folder {folder}"
    )
    raise bad_file(folder / SAFETENSORS, what)


def shards(index: Path) -> list[str]:
    """The files that an index of safetensors names, which must be plain names."""
    places = read_config(index).get("weight_map")
    files = sorted({str(name) for name in places.values()}) if isinstance(places, dict) else []
    if not files or any(PurePosixPath(name).name != name or "\\" in name for name in files):
        raise bad_file(index, "does not name the files that the weights are in")
    return files


def check_type(name: str, config: Mapping[str, Any]) -> None:
    """Raise ``unknown-model`` where a ``config.json`` is of another family, or has a melody."""
    kind = config.get("model_type")
    if kind == "musicgen_melody":
        raise SidemanError(Code.UNKNOWN_MODEL, f"{name} {MELODY}")
    if kind != FAMILY:
        raise SidemanError(
            Code.UNKNOWN_MODEL, f"{name} is a model of the type {kind!r}, not {FAMILY}"
        )


def beside(folder: Path, name: str, files: tuple[str, ...]) -> Path | None:
    """A folder of that name with one of these files, in ``folder`` or beside it."""
    last = PurePosixPath(name).name
    for place in (folder / last, folder.parent / last):
        if any((place / file).is_file() for file in files):
            return place
    return None


def read_config(path: Path) -> dict[str, Any]:
    """A JSON file of a model folder. Raises ``unknown-model`` or ``bad-file``."""
    if not path.is_file():
        raise SidemanError(Code.UNKNOWN_MODEL, f"no model at {path.parent}: it has no {path.name}")
    if path.stat().st_size > MAX_JSON:
        raise bad_file(path, f"larger than {MAX_JSON} bytes, which no description needs")
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise bad_file(path, f"not valid JSON: {error}") from error
    if not isinstance(read, dict):
        raise bad_file(path, "not a description")
    return read
