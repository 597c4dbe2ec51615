"""The runs of this machine: where they are, and what their ``run.json`` says.

Every command of ``sideman train`` that takes long keeps a run folder and notes it here. Nothing
heavy is imported.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
import psutil

from engine.errors import Code, SidemanError

FILE = "run.json"

STATUSES = ("pending", "running", "completed", "failed", "stopped")

KILLED = "it was killed: go on with --resume"
"""The error of a run that says that it is running, and whose process is gone."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder."""

    name: str
    folder: Path
    table: dict[str, Any]
    """``run.json``, with the status that is true now."""


def read(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says, corrected where its process was killed. Raises ``bad-file``."""
    path = folder / FILE
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        status = table["status"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SidemanError(Code.BAD_FILE, f"{folder} is not the folder of a run") from error
    if status == "running" and not _lives(table):
        table |= {"status": "stopped", "error": KILLED}
    result: dict[str, Any] = table
    return result


def _lives(table: dict[str, Any]) -> bool:
    """Whether the process that wrote ``table`` is still the one with its number."""
    try:
        begun = psutil.Process(table["pid"]).create_time()
    except (psutil.Error, KeyError, TypeError):
        return False
    return bool(abs(begun - table.get("pid_created", 0)) < 1)


def note(run: Path) -> None:
    """Remember where a run is, for :func:`all_runs`. A home that can't be written is no error."""
    path = str(run.resolve())
    with suppress(OSError):
        _index().mkdir(parents=True, exist_ok=True)
        (_index() / hashlib.sha256(path.encode()).hexdigest()[:16]).write_text(path, "utf-8")


def all_runs(*places: Path) -> list[Run]:
    """The runs that were noted, and those inside ``places``; the newest first."""
    folders = {path.parent.resolve() for place in places for path in place.glob(f"*/{FILE}")}
    folders |= {place.resolve() for place in places if (place / FILE).is_file()}
    folders |= _noted()
    found = []
    for folder in folders:
        with suppress(SidemanError):
            found.append(Run(folder.name, folder, read(folder)))
    return sorted(found, key=lambda run: -(run.table.get("started") or 0))


def find(text: str) -> Path:
    """The run folder that a user means: its path, or the name of one that is known."""
    path = Path(text).expanduser()
    if (path / FILE).is_file():
        return path
    beside = path.with_name(f"{path.name}.run")  # named by the model that it makes
    if (beside / FILE).is_file():
        return beside
    for run in all_runs(Path.cwd()):
        if text in (run.name, run.name.removesuffix(".run")):
            return run.folder
    raise SidemanError(Code.BAD_FILE, f"no run {text!r}: `sideman train runs` lists those known")


def stop(run: Path) -> None:
    """Have a run end behind its next step, as ctrl-C does; it can be resumed.

    Raises ``not-allowed`` where it is not running, or is another user's.
    """
    table = read(run)
    if table["status"] != "running":
        raise SidemanError(Code.NOT_ALLOWED, f"{run.name} is not running: it is {table['status']}")
    try:
        psutil.Process(table["pid"]).terminate()
    except psutil.Error as error:
        raise SidemanError(Code.NOT_ALLOWED, f"{run.name} cannot be stopped: {error}") from error


def output(run: Path) -> Path:
    """What a run makes: its folder is named by that."""
    return run.with_name(re.sub(r"\.run(-\d+)?$", "", run.name))


def _noted() -> set[Path]:
    """The folders that were noted; those that are gone are forgotten."""
    folders = set()
    with suppress(OSError):
        for entry in _index().iterdir():
            folder = Path(entry.read_text("utf-8"))
            if (folder / FILE).is_file():
                folders.add(folder)
            else:
                entry.unlink()
    return folders


def _index() -> Path:
    return platformdirs.user_data_path("sideman", appauthor=False) / "runs"
