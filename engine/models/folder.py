"""A model folder: ``model.json``, read strictly, and the weights that it vouches for.

Weights are safetensors (https://huggingface.co/docs/safetensors, "Format"): 8 bytes with the length
of a JSON header, the header, and the tensors without gaps. The reader takes nothing on trust: the
caller says which tensors there must be, and no more bytes are read than these need.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import import_module
from math import prod
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError

FORMAT = 1
"""The version of the folder's format that this engine reads."""

MODEL_JSON = "model.json"
MAX_JSON = 1 << 20
MAX_HEADER = 1 << 20
MAX_WEIGHTS = 4 << 30
"""Bytes; the largest weights file that is opened at all."""

BYTES = {"F32": 4, "F16": 2, "BF16": 2}
"""Storage types of weights, by their safetensors name, and bytes per number."""

DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
"""What ``model.json`` calls them."""


DESCRIBERS = ("engine.models.musicgen.describe",)
"""Modules of families whose models come as other programs left them; each has ``knows(folder)`` and
``describe(folder)``, and neither reads weights into memory."""


class Tokenizer(msgspec.Struct, frozen=True):
    """How notes become tokens."""

    library: str
    algo: str
    file: str


class Part(msgspec.Struct, frozen=True):
    """One of several weights files, and its SHA-256 in hex."""

    file: str
    sha256: str


class Weights(msgspec.Struct, frozen=True):
    """The weights file, its SHA-256 in hex and its storage type."""

    file: str
    sha256: str
    dtype: str = "float32"
    parts: tuple[Part, ...] = ()
    """Where there are several files, all of them; then ``file`` is the one to begin with, and
    ``sha256`` is that of their hashes, one after another."""


class Recall(msgspec.Struct, frozen=True):
    """The file that says how much a song's own past counts beside the network, and its SHA-256."""

    file: str
    sha256: str


class TrainingData(msgspec.Struct, frozen=True):
    """One source that the model learned from."""

    name: str
    licence: str
    notice: str = ""


class ModelInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``model.json`` says about a model."""

    format: int
    name: str
    family: str
    kind: str
    architecture: str
    sizes: dict[str, int]
    weights: Weights
    tokenizer: Tokenizer | None = None
    recall: Recall | None = None
    meters: tuple[str, ...] = ()
    licence: str = ""
    training_data: tuple[TrainingData, ...] = ()
    date: str = ""
    metrics: dict[str, Any] = {}


class Described(Protocol):
    """What a description says of every folder with weights."""

    @property
    def weights(self) -> Weights:
        """Its weights file."""
        ...


Description = TypeVar("Description", bound=msgspec.Struct)


class _Entry(msgspec.Struct, frozen=True):
    """One tensor of a safetensors header."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def bad_file(path: Path, what: str) -> SidemanError:
    """The error of every file that is not what it must be."""
    return SidemanError(Code.BAD_FILE, f"{path.name}: {what}")


def read_info(folder: Path) -> ModelInfo:
    """Read and check ``folder/model.json``.

    A folder without it is described where a family knows its files. Raises ``unknown-model`` where
    folder or file are missing, ``bad-file`` for anything else.
    """
    if not (folder / MODEL_JSON).is_file() and (family := _foreign(folder)) is not None:
        return cast(ModelInfo, family.describe(folder))
    return read_description(folder / MODEL_JSON, ModelInfo, "model")


def is_model(folder: Path) -> bool:
    """Whether `read_info` has something to read there, be it right or wrong."""
    return (folder / MODEL_JSON).is_file() or _foreign(folder) is not None


def _foreign(folder: Path) -> ModuleType | None:
    """What describes a folder that came without a ``model.json``."""
    modules = map(import_module, DESCRIBERS)
    return next((module for module in modules if module.knows(folder)), None)


def read_description(path: Path, kind: type[Description], what: str) -> Description:
    """Read and check the JSON file that describes a folder; ``what`` is what errors call it.

    Raises as :func:`read_info` does.
    """
    if not path.is_file():
        raise SidemanError(Code.UNKNOWN_MODEL, f"no {what} at {path.parent}: it has no {path.name}")
    try:
        with path.open("rb") as file:
            text = file.read(MAX_JSON + 1)
    except OSError as error:
        raise bad_file(path, f"cannot be read: {error.strerror}") from error
    if len(text) > MAX_JSON:
        raise bad_file(path, f"larger than {MAX_JSON} bytes, which no description needs")
    try:
        version = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get("format")
        if version is None or bytes(version) != str(FORMAT).encode():
            said = "no format" if version is None else f"format {bytes(version)[:20].decode()}"
            raise bad_file(path, f"has {said}, and this version reads format {FORMAT}")
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_file(path, f"not a valid description: {error}") from error


def read_family_info(
    folder: Path, family: str, architecture: str, limits: Mapping[str, int]
) -> ModelInfo:
    """As :func:`read_info`, for a model of this family and architecture, of believable sizes.

    Raises ``unknown-model`` for another family, ``bad-file`` for the rest.
    """
    info = read_info(folder)
    path = folder / MODEL_JSON
    if info.family != family:
        raise SidemanError(
            Code.UNKNOWN_MODEL,
            f"{folder.name} is of the family {info.family[:40]!r}, not {family}",
        )
    if info.architecture != architecture:
        raise bad_file(path, f"architecture {info.architecture[:40]!r} is not {architecture}")
    for name, limit in limits.items():
        if info.sizes.get(name, 0) > limit:
            raise bad_file(path, f"size '{name}' is {info.sizes[name]}; {limit} is the most")
    return info


def member(folder: Path, name: str, described: str = MODEL_JSON) -> Path:
    """The file called ``name`` inside ``folder``.

    Raises ``bad-file`` for names with folders in them, links, and what is missing or no plain file.
    """
    plain = PurePosixPath(name).name == name and "\\" not in name and ":" not in name
    if not plain or not name.isprintable():
        raise bad_file(folder / described, f"{name[:60]!r} is not a plain file name")
    path = folder / name
    if path.is_symlink():
        raise bad_file(path, "is a link, and a model's files must be in its folder")
    if not path.is_file():
        raise bad_file(path, f"is missing from the model folder {folder}")
    return path


def read_weights(
    folder: Path,
    info: Described,
    shapes: Mapping[str, tuple[int, ...]],
    described: str = MODEL_JSON,
) -> dict[str, NDArray[np.float32]]:
    """The tensors of ``info``'s weights file as float32, exactly those that ``shapes`` names.

    ``described`` is the file that ``info`` was read from.
    Raises ``bad-file`` where names, shapes, storage type, size or SHA-256 are not the expected
    ones, or a number is not finite. The length of the file is compared before anything is read.
    """
    path = member(folder, info.weights.file, described)
    if (dtype := DTYPES.get(info.weights.dtype)) is None:
        known = ", ".join(DTYPES)
        raise bad_file(folder / described, f"weights are {known}, not {info.weights.dtype[:20]!r}")
    body = BYTES[dtype] * sum(prod(shape) for shape in shapes.values())
    if body > MAX_WEIGHTS:
        raise bad_file(folder / described, f"'sizes' ask for {body} bytes of weights: too many")
    size = path.stat().st_size
    if not body < size <= 8 + MAX_HEADER + body:
        raise bad_file(path, f"has {size} bytes where 'sizes' in {described} ask for {body}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != info.weights.sha256.lower():
        raise bad_file(path, f"is not the file that {described} describes (SHA-256 differs)")
    header = int.from_bytes(data[:8], "little")
    if header > MAX_HEADER or 8 + header + body != len(data):
        raise bad_file(path, "header and tensors do not fill the file: truncated or damaged")
    entries = _entries(path, data[8 : 8 + header])
    _compare(path, entries, shapes, dtype)
    tensors = {
        name: _float32(data, 8 + header + entry.data_offsets[0], entry)
        for name, entry in entries.items()
    }
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise bad_file(path, f"{name} has numbers that are not finite: its training failed")
    return tensors


def _entries(path: Path, header: bytes) -> dict[str, _Entry]:
    try:
        raw = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        raw.pop("__metadata__", None)
        return {name: msgspec.json.decode(entry, type=_Entry) for name, entry in raw.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_file(path, f"not a safetensors file: {error}") from error


def _compare(
    path: Path,
    entries: Mapping[str, _Entry],
    shapes: Mapping[str, tuple[int, ...]],
    dtype: str,
) -> None:
    """Check names, shapes and types, and that the tensors lie end to end from 0."""
    if lacking := sorted(shapes.keys() - entries.keys()):
        raise bad_file(path, f"lacks {len(lacking)} tensors, the first is {lacking[0]}")
    if surplus := sorted(entries.keys() - shapes.keys()):
        raise bad_file(path, f"has {len(surplus)} tensors too many: {surplus[0][:60]!r}")
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        if entry.shape != shapes[name]:
            raise bad_file(path, f"{name} is {list(entry.shape)}, not {list(shapes[name])}")
        if entry.dtype != dtype:
            raise bad_file(path, f"{name} is stored as {entry.dtype[:8]!r}, not {dtype}")
        if entry.data_offsets != (end, end + BYTES[dtype] * prod(entry.shape)):
            raise bad_file(path, f"{name} does not lie where it must: damaged")
        end = entry.data_offsets[1]


def _float32(data: bytes, start: int, entry: _Entry) -> NDArray[np.float32]:
    count = prod(entry.shape)
    if entry.dtype == "BF16":
        wide = np.frombuffer(data, "<u2", count, start).astype(np.uint32) << np.uint32(16)
        return wide.view(np.float32).reshape(entry.shape)
    stored = np.frombuffer(data, {"F32": "<f4", "F16": "<f2"}[entry.dtype], count, start)
    return cast(NDArray[np.float32], stored.astype(np.float32).reshape(entry.shape))


def vouched(folder: Path, name: str, sha256: str) -> Path:
    """A small file of the folder that ``model.json`` vouches for. Raises ``bad-file``."""
    path = member(folder, name)
    if path.stat().st_size > MAX_JSON or digest(path) != sha256.lower():
        raise bad_file(path, f"is not the file that {MODEL_JSON} describes (SHA-256 differs)")
    return path


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(parts: tuple[Part, ...]) -> str:
    """The SHA-256 of several files in one: that of their hashes in hex, one after another."""
    return hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest()


def write_model(
    folder: Path, info: ModelInfo, weights: Mapping[str, NDArray[np.float32]]
) -> ModelInfo:
    """Write ``weights`` and then ``model.json`` into ``folder``, which is made where it is missing.

    File name and storage type are those of ``info.weights``; the SHA-256 is made here, and the
    returned description has it. The tokenizer's file is the caller's.
    """
    sealed = msgspec.structs.replace(info, weights=write_weights(folder, info.weights, weights))
    write_description(folder / MODEL_JSON, sealed)
    return sealed


def write_weights(
    folder: Path, about: Weights, tensors: Mapping[str, NDArray[np.float32]]
) -> Weights:
    """Write the file that ``about`` names, in its storage type; the same with its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    data = _safetensors(tensors, DTYPES[about.dtype])
    (folder / about.file).write_bytes(data)
    return msgspec.structs.replace(about, sha256=hashlib.sha256(data).hexdigest())


def write_description(path: Path, info: msgspec.Struct) -> None:
    """Write what :func:`read_description` reads."""
    text = msgspec.json.format(msgspec.json.encode(info), indent=1)
    path.write_bytes(text + b"\n")


def _safetensors(weights: Mapping[str, NDArray[np.float32]], dtype: str) -> bytes:
    header: dict[str, _Entry] = {}
    parts, end = [], 0
    for name, array in weights.items():
        part = _stored(array, dtype)
        header[name] = _Entry(dtype, array.shape, (end, end + len(part)))
        parts.append(part)
        end += len(part)
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, *parts))


def _stored(array: NDArray[np.float32], dtype: str) -> bytes:
    if dtype == "BF16":
        bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
        # Round to nearest, ties to even: add half of the last kept digit, less one where it is 0.
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").tobytes()
    return array.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()
