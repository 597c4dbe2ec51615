"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import Code, SidemanError


def write_whole(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data`` in one move; a killed process leaves the former file.

    Raises ``bad-file`` where it cannot be written, a full disk above all.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise unwritable(path, error) from error


@contextmanager
def made_whole(folder: Path, mark: tuple[str, ...]) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``folder`` once all is in it.

    What stands there already must be empty or hold one of the files ``mark``: nothing else is
    replaced. Raises ``not-allowed`` there, and ``bad-file`` where it cannot be written.
    """
    folder = folder.resolve()
    check_replaceable(folder, mark)
    part = folder.with_name(folder.name + ".part")
    former = folder.with_name(folder.name + ".former")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        if folder.exists():
            shutil.rmtree(former, ignore_errors=True)
            os.replace(folder, former)
        os.replace(part, folder)
        shutil.rmtree(former, ignore_errors=True)
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_replaceable(folder: Path, mark: tuple[str, ...]) -> None:
    """Raise ``not-allowed`` where ``folder`` holds what is not ours to replace."""
    if not folder.exists():
        return
    ours = folder.is_dir() and (
        any((folder / name).is_file() for name in mark) or not any(folder.iterdir())
    )
    if not ours:
        raise SidemanError(
            Code.NOT_ALLOWED, f"{folder} is there and is no {mark[0]} folder: choose another name"
        )


def unwritable(path: Path, error: OSError) -> SidemanError:
    """What the user is told of a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SidemanError(Code.BAD_FILE, f"{path}: the disk is full; make room and try again")
    return SidemanError(Code.BAD_FILE, f"{path} cannot be written: {error.strerror or error}")
