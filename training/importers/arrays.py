"""Numpy's ``.npz`` from strangers: bounded before anything is unpacked, and nothing unpickled."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import Code, SidemanError
from training.importers.zips import DAMAGED

MAX_BYTES = 1 << 30
"""The most that a file may hold when unpacked: a chunk of the 423-token data set is 0.8 GB."""

MAX_MEMBERS = 256
MAX_INFO = 1 << 20

Arrays = Mapping[str, NDArray[Any]]


def read_arrays(path: Path, only: tuple[str, ...] = ()) -> dict[str, NDArray[Any]]:
    """The arrays of a file by their names, or those named ``only``. Raises ``bad-file``."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if len(members) > MAX_MEMBERS or size > MAX_BYTES:
                raise SidemanError(
                    Code.BAD_FILE, f"holds {size} bytes in {len(members)} arrays: too much"
                )
        with np.load(path, allow_pickle=False) as loaded:
            names = [name for name in loaded.files if not only or name in only]
            return {name: loaded[name] for name in names if not name.endswith(".json")}
    except DAMAGED as error:
        line = str(error).partition("\n")[0][:120]
        raise SidemanError(Code.BAD_FILE, f"is no sound npz: {line}") from error
    except OSError as error:
        raise SidemanError(Code.BAD_FILE, f"cannot be read: {error.strerror or error}") from error


def read_info(path: Path) -> dict[str, Any]:
    """The object in the member ``info.json``. Raises ``bad-file``."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("info.json") as file:
            info = json.loads(file.read(MAX_INFO))
    except (KeyError, OSError, *DAMAGED) as error:
        raise SidemanError(Code.BAD_FILE, f"its info.json cannot be read: {error}") from error
    if not isinstance(info, dict):
        raise SidemanError(Code.BAD_FILE, "its info.json is no object")
    return info
