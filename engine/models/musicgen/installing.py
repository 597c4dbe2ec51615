"""Models that appear among the user's whole or not at all.

Files are gathered in a folder whose name no model has, described, and moved to their place in one
step. Nothing here imports torch, but `make`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from engine.errors import Code, SidemanError
from engine.models import store
from engine.models.folder import MODEL_JSON, ModelInfo, bad_file, read_info, write_description
from engine.models.musicgen import licence, settings
from engine.models.musicgen.describe import describe
from engine.models.musicgen.known import TINY, local_name
from engine.models.musicgen.layout import (
    CODEC_STATE_DICT,
    CONFIG_JSON,
    INDEX,
    STATE_DICT,
    TOKENIZER_JSON,
    beside,
    weights_files,
)

SMALL = (CONFIG_JSON, INDEX, TOKENIZER_JSON, licence.CARD)
"""What is kept of a folder in transformers' layout beside its weights."""

T5_FILES = (CONFIG_JSON, INDEX, TOKENIZER_JSON)
"""What is kept of the text encoder's folder in audiocraft's layout, beside its weights."""

Progress = Callable[[float], None]
"""Told how much of a work is done, 0 to 1."""

CHUNK = 1 << 22


def make(name: str) -> Path:
    """Make the model ``name``, one of `store.can_be_made`, where it is missing; its folder.

    It takes a second and imports torch; several may make it at once. Raises ``unknown-model`` for
    another name.
    """
    if not store.can_be_made(name):
        raise SidemanError(Code.UNKNOWN_MODEL, f"{name[:80]!r} is no model that can be made")
    folder = store.find(name)
    if (folder / MODEL_JSON).is_file():
        return folder
    import_module("transformers")  # first, so that who lacks it is told of the extra it is in
    from engine.models.musicgen import tiny
    from engine.models.musicgen.checkpoint import quiet

    channels = next(number for number, called in TINY.items() if called == name)
    with quiet(), _gathering() as parent:
        return _move(tiny.write(parent, channels=channels), folder)


def copy(source: Path, progress: Progress = lambda part: None) -> Path:
    """Copy a folder of either layout, or one with a ``model.json``, among the user's models.

    Its name there is the folder's. Raises as `describe`, and ``not-allowed`` where a model of that
    name is there already.
    """
    source = source.expanduser().resolve()
    name = local_name(source.name)
    target = free_place(name)
    if (source / MODEL_JSON).is_file():
        info = read_info(source)
        wanted = [(path, PurePosixPath(path.name)) for path in source.iterdir() if path.is_file()]
    else:
        info = describe(source, name)
        wanted = list(files(source))
    with _gathering() as parent:
        folder = parent / name
        _copy(wanted, folder, progress)
        write_description(folder / MODEL_JSON, replace(info, name=name))
        return _move(folder, target)


def files(folder: Path) -> Iterator[tuple[Path, PurePosixPath]]:
    """Every file that a model needs of a folder without ``model.json``, and its place in a copy.

    In audiocraft's layout the text encoder and the codec that is pointed to come along, from inside
    or beside it. Raises as `describe`, and ``unknown-model`` where one of the two is missing.
    """
    for file in (*weights_files(folder), *SMALL):
        if (folder / file).is_file():
            yield folder / file, PurePosixPath(file)
    if (folder / CONFIG_JSON).is_file():
        return
    for name, some in companions(folder):
        found = beside(folder, name, some)
        if found is None:
            raise SidemanError(
                Code.UNKNOWN_MODEL,
                f"{folder.name} needs {name}, which its files only name: put the folder "
                f"{PurePosixPath(name).name} into it or beside it",
            )
        for path in sorted(path for path in found.iterdir() if path.is_file()):
            if path.name in (*T5_FILES, CODEC_STATE_DICT) or path.suffix == ".safetensors":
                yield path, PurePosixPath(found.name) / path.name


def companions(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What a folder in audiocraft's layout needs besides: names, and files that one of is there."""
    path = folder / STATE_DICT
    said, _ = settings.read(path)
    yield _named(path, settings.text_encoder(said)), (CONFIG_JSON,)
    path = folder / CODEC_STATE_DICT
    texts, _ = settings.peek(path)
    if pointer := texts.get("pretrained"):
        yield _named(path, pointer[:100]), (CONFIG_JSON, CODEC_STATE_DICT)


def _named(path: Path, name: str) -> str:
    if re.fullmatch(r"([\w-][\w.-]*/)?[\w-][\w.-]*", name) is None:
        raise bad_file(path, f"names {name!r}, which is no repository")
    return name


def seal(folder: Path, target: Path, said: str = "") -> ModelInfo:
    """Describe a folder that is whole now, under the licence ``said``, and move it to its place."""
    info = describe(folder, target.name)
    if said:
        info = replace(info, licence=said)
    write_description(folder / MODEL_JSON, info)
    _move(folder, target)
    return info


def free_place(name: str) -> Path:
    """Where a new model of that name goes. Raises ``not-allowed`` where one is."""
    target = store.user_folder() / name
    if target.exists():
        raise SidemanError(
            Code.NOT_ALLOWED, f"a model {name} is there already: {target}; remove it to replace it"
        )
    return target


@contextmanager
def _gathering() -> Iterator[Path]:
    home = store.user_folder()
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=home, prefix=".making-", ignore_cleanup_errors=True) as parent:
        yield Path(parent)


def _move(folder: Path, target: Path) -> Path:
    """Into its place in one step; where another was quicker, theirs stays."""
    try:
        os.rename(folder, target)
    except OSError:
        if not (target / MODEL_JSON).is_file():
            raise
    return target


def _copy(wanted: list[tuple[Path, PurePosixPath]], folder: Path, progress: Progress) -> None:
    total = sum(path.stat().st_size for path, _ in wanted) or 1
    free = shutil.disk_usage(folder.parent).free
    if total > free:
        raise SidemanError(
            Code.NOT_ALLOWED,
            f"{total / 2**30:.1f} GiB are needed in {folder.parent.parent}, and "
            f"{free / 2**30:.1f} GiB are free",
        )
    done = 0
    for path, place in wanted:
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, target.open("xb") as copied:
            while piece := source.read(CHUNK):
                copied.write(piece)
                done += len(piece)
                progress(done / total)
