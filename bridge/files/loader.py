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
from engine.past import Past, Spot, lay_out, lay_out_sound

MIDI_SUFFIXES = frozenset({".mid", ".midi"})

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".aif", ".aiff"})

LONGEST = 900.0
"""Seconds of a recording."""

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
    song = read_midi(path)
    programs = {track.program for track in song.tracks if track.notes}
    program = programs.pop() if len(programs) == 1 else None
    return Loaded(path, song.bars, song.meter_map, song.notes, program)


def record(path: Path, folder: Path, spot: Spot) -> Past:
    """Read an audio file, check it, and keep it in the session's folder as a track's past.

    There it stays as it was heard, whatever becomes of the file. Raises ``bad-file`` and
    ``no-context`` for what nothing can go on from.
    """
    # Most sessions have no sound, and what reads it takes a while to import.
    from bridge.files.audio_file import read_audio, write_audio
    from engine.audio.grid import Grid
    from engine.audio.refuse import check_prompt

    audio, rate = read_audio(path, LONGEST)
    check_prompt(audio, Grid(rate, spot.bpm, spot.meters))
    kept = recording(folder)
    write_audio(kept, audio, rate, "float")
    return lay_out_sound(str(kept), rate, audio.shape[1], len(audio), spot)


def recording(folder: Path) -> Path:
    """A name for one more recording."""
    number = 1 + sum(1 for _ in folder.glob("recording-*.wav"))
    while (path := folder / f"recording-{number:04d}.wav").exists():
        number += 1
    return path


class FileLoader:
    """Reads files for the conductor; see :class:`engine.ports.Loader`."""

    def __init__(self, folders: Iterable[Path], post: Callable[[Callable[[], None]], None]) -> None:
        """``folders`` are the ones that may be read from; relative paths belong to the first.

        What is taken of sound is kept there, too.
        """
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
            if _is_odd(path):
                raise SidemanError(Code.BAD_FILE, f"{path.name[:80]} is no file")
            suffix = path.suffix.lower()
            if suffix in AUDIO_SUFFIXES:
                return record(path, self._folders[0], spot)
            if suffix not in MIDI_SUFFIXES:
                known = ", ".join(sorted(MIDI_SUFFIXES | AUDIO_SUFFIXES))
                raise SidemanError(
                    Code.BAD_FILE, f"{path.name} is of no kind that is read: use {known}"
                )
            return lay_out(read(path), spot)
        except Exception as error:  # whatever it is, the client must hear of it
            return error


def _is_odd(path: Path) -> bool:
    """Whether there is something that is no file, such as a pipe that would never end."""
    try:
        return path.exists() and not path.is_file()
    except OSError:  # a name that no file can have
        return True
