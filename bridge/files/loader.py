"""Files that become a track's past: read and laid out on a thread, from allowed folders only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from bridge.files.midi_file import read_midi
from engine.errors import Code, SidemanError
from engine.music import MeterMap, Note
from engine.past import Past, Spot, lay_out

MIDI_SUFFIXES = {".mid", ".midi"}

Then = Callable[[Past | Exception], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file's notes, with bars counted from its start. ``program`` where it has only one."""

    path: Path
    bars: int
    meters: MeterMap
    notes: tuple[Note, ...]
    program: int | None


def read(path: Path) -> Loaded:
    """Read a MIDI file. Raises ``bad-file``."""
    if path.suffix.lower() not in MIDI_SUFFIXES:
        raise SidemanError(
            Code.BAD_FILE, f"{path.name} is no .mid file: this engine continues MIDI only"
        )
    if path.exists() and not path.is_file():  # a pipe, say, that would never end
        raise SidemanError(Code.BAD_FILE, f"{path.name} is no file")
    song = read_midi(path)
    programs = {track.program for track in song.tracks if track.notes}
    program = programs.pop() if len(programs) == 1 else None
    return Loaded(path, song.bars, song.meter_map, song.notes, program)


class FileLoader:
    """Reads files for the conductor; see :class:`engine.ports.Loader`."""

    def __init__(
        self, folders: Iterable[Path], post: Callable[[Callable[[], None]], None]
    ) -> None:
        """``folders`` are the ones that may be read from; relative paths belong to the first."""
        self._folders = [folder.resolve() for folder in folders]
        self._post = post
        self._jobs: SimpleQueue[tuple[Path, Spot, Then]] = SimpleQueue()
        threading.Thread(target=self._run, name="loader", daemon=True).start()

    def load(self, path: str, spot: Spot, then: Then) -> None:
        """Queue a file. Raises ``not-allowed`` for one outside the folders."""
        self._jobs.put((self.allowed(path), spot, then))

    def allowed(self, path: str) -> Path:
        """The file that ``path`` means, links followed, where it lies in an allowed folder."""
        try:
            file = (self._folders[0] / path).resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise SidemanError(Code.NOT_ALLOWED, f"not a path: {path[:80]!r}") from error
        if not any(file.is_relative_to(folder) for folder in self._folders):
            raise SidemanError(
                Code.NOT_ALLOWED,
                f"{path[:200]} lies outside the session's folder and the folders that the config"
                " names under files.allowed",
            )
        return file

    def _run(self) -> None:
        while True:
            path, spot, then = self._jobs.get()
            result = self._lay_out(path, spot)
            self._post(lambda then=then, result=result: then(result))  # type: ignore[misc]

    def _lay_out(self, path: Path, spot: Spot) -> Past | Exception:
        try:
            return lay_out(read(path), spot)
        except Exception as error:  # whatever it is, the client must hear of it
            return error
