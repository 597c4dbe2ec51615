"""SoundFonts: finding one on this machine, and taking a small free one from a registry.

``python -m bridge.files.soundfont --fetch`` leaves one in the user's data folder; setup calls it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import platformdirs

from bridge.files.atomic import replacing
from engine.errors import Code, SidemanError

ENVIRONMENT = "SIDEMAN_SOUNDFONT"
SUFFIXES = (".sf2", ".sf3")
DRUM_BANK = 128
"""The bank in which a SoundFont keeps its drum kits."""

_MAX_PRESETS = 65_536


@dataclass(frozen=True, slots=True)
class SoundFont:
    """A SoundFont file, and the (bank, program) pairs that it has sounds for."""

    path: Path
    presets: frozenset[tuple[int, int]]

    @property
    def complete(self) -> bool:
        """Whether it has all 128 sounds of General MIDI and a drum kit."""
        wanted = {(0, program) for program in range(128)} | {(DRUM_BANK, 0)}
        return wanted <= self.presets

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A package of a public registry that holds a SoundFont under a free licence."""

    file: str
    size: int
    sha256: str
    licence: str
    source: str
    member: str
    command: Callable[[], list[str] | None]
    """What downloads the package into the current folder; None where its client is missing."""


def _npm() -> list[str] | None:
    client = shutil.which("npm")
    options = ["--silent", "--fetch-retries=1", "--fetch-timeout=30000"]
    if client is None:
        return None
    return [client, "pack", "@coderline/alphatab@1.8.4", *options]


def _pip() -> list[str]:
    # Wheels only: nothing out of the package runs.
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check"]
    return [sys.executable, "-m", "pip", "download", *options, "pretty_midi==0.2.11.post0"]


CARRIERS = (
    Carrier(
        "sonivox.sf2",
        1_351_896,
        "4978cf37e7164206f2d22dc4fdf4020ffe040787210bf781e31bdc79961f59ef",
        "Apache-2.0, copyright 2004-2006 Sonic Network Inc.",
        "npm package @coderline/alphatab 1.8.4",
        "package/dist/soundfont/sonivox.sf2",
        _npm,
    ),
    Carrier(
        "TimGM6mb.sf2",
        5_994_284,
        "82475b91a76de15cb28a104707d3247ba932e228bada3f47bba63c6b31aaf7a1",
        "GPL-2, by Tim Brechbill",
        "Python package pretty_midi 0.2.11.post0",
        "pretty_midi/TimGM6mb.sf2",
        _pip,
    ),
)


def our_folder() -> Path:
    """The folder for SoundFonts in the user's data folder, where `fetch_soundfont` puts one."""
    return platformdirs.user_data_path("sideman", appauthor=False) / "soundfonts"


def usual_folders() -> tuple[Path, ...]:
    """Where systems and other programs keep SoundFonts, ours first."""
    home = Path.home()
    folders = [
        our_folder(),
        Path("/usr/share/sounds/sf2"),
        Path("/usr/share/sounds/sf3"),
        Path("/usr/share/soundfonts"),
        Path("/usr/local/share/soundfonts"),
        Path("/usr/local/share/sounds/sf2"),
        Path("/opt/homebrew/share/soundfonts"),
        Path("/opt/homebrew/share/fluid-synth/sf2"),
        home / ".local/share/soundfonts",
        home / ".local/share/sounds/sf2",
        home / "Library/Audio/Sounds/Banks",
        Path("/Library/Audio/Sounds/Banks"),
    ]
    for variable in ("PROGRAMDATA", "LOCALAPPDATA", "PUBLIC"):
        if os.environ.get(variable):
            folders.append(Path(os.environ[variable]) / "soundfonts")
    return tuple(folders)


def open_soundfont(path: str | os.PathLike[str]) -> SoundFont:
    """The SoundFont at ``path`` with its list of presets. `SidemanError` BAD_FILE if it is none."""
    path = Path(path).expanduser()
    try:
        return _open(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise SidemanError(
            Code.BAD_FILE, f"cannot read the SoundFont {path}: {error.strerror or error}"
        ) from error


def find_soundfont(config_path: str | os.PathLike[str] | None = None) -> SoundFont | None:
    """The SoundFont to play with, or None where there is none.

    One that is named, by the environment's ``SIDEMAN_SOUNDFONT`` or by ``config_path``, counts
    before all others, and raises `SidemanError` BAD_FILE if it cannot be used. Else it is the first
    in `usual_folders` that has all of General MIDI, else the first that has anything.
    """
    named = os.environ.get(ENVIRONMENT) or config_path
    if named:
        return open_soundfont(named)
    fallback: SoundFont | None = None
    for path in _candidates():
        try:
            font = open_soundfont(path)
        except SidemanError:
            continue
        if font.complete:
            return font
        fallback = fallback or font
    return fallback


def find(config_path: str | os.PathLike[str] | None = None) -> SoundFont:
    """The same as `find_soundfont`, but no SoundFont is `SidemanError` BAD_FILE."""
    font = find_soundfont(config_path)
    if font is None:
        raise SidemanError(
            Code.BAD_FILE,
            "there is no SoundFont to play with: run `python -m bridge.files.soundfont --fetch`, "
            f"or set {ENVIRONMENT} to an .sf2 or .sf3 file",
        )
    return font


def fetch_soundfont(dest: str | os.PathLike[str] | None = None) -> Path:
    """Takes a small free SoundFont from a package registry into ``dest`` (by default `our_folder`).

    What is there already and whole is kept. A note of its licence is left beside it. Raises
    `SidemanError` BAD_FILE that says what every source answered.
    """
    folder = Path(dest) if dest else our_folder()
    for carrier in CARRIERS:
        path = folder / carrier.file
        if path.is_file() and path.stat().st_size == carrier.size:
            return path
    reasons = []
    for carrier in CARRIERS:
        try:
            data = _download(carrier)
        except SidemanError as error:
            reasons.append(error.text)
            continue
        path = folder / carrier.file
        with replacing(path) as temporary:
            temporary.write_bytes(data)
        with replacing(path.with_suffix(".LICENCE.txt")) as temporary:
            temporary.write_text(
                f"{carrier.file}\nLicence: {carrier.licence}\nTaken from: {carrier.source}\n"
            )
        return path
    raise SidemanError(Code.BAD_FILE, f"could not get a SoundFont: {'; '.join(reasons)}")


def _candidates() -> Iterator[Path]:
    for folder in usual_folders():
        if folder.is_dir():
            files = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
            yield from sorted(files)


@lru_cache(maxsize=32)
def _open(path: Path, _modified_ns: int) -> SoundFont:
    with path.open("rb") as file:
        try:
            presets = frozenset(_presets(file))
        except (ValueError, struct.error):
            presets = frozenset()
    if not presets:
        raise SidemanError(Code.BAD_FILE, f"{path} is not a SoundFont (.sf2 or .sf3)")
    return SoundFont(path, presets)


def _presets(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """(bank, program) of each preset header (SoundFont 2.04, section 7.2)."""
    riff, _, form = struct.unpack("<4sI4s", file.read(12))
    if (riff, form) != (b"RIFF", b"sfbk"):
        raise ValueError("no sfbk form")
    _seek_chunk(file, b"LIST", b"pdta")
    size = _seek_chunk(file, b"phdr")
    record = struct.Struct("<20sHH14x")
    for _ in range(min(size // record.size, _MAX_PRESETS) - 1):  # the last one marks the end
        _, program, bank = record.unpack(file.read(record.size))
        yield bank, program


def _seek_chunk(file: BinaryIO, kind: bytes, form: bytes = b"") -> int:
    """Moves to the body of the next chunk of that kind, after its form, and returns its size."""
    while True:
        found, size = struct.unpack("<4sI", file.read(8))
        body = file.tell()
        if found == kind and file.read(len(form)) == form:
            return int(size)
        file.seek(body + size + size % 2)


def _download(carrier: Carrier) -> bytes:
    command = carrier.command()
    if command is None:
        raise SidemanError(Code.BAD_FILE, f"{carrier.source}: its client is not installed")
    with tempfile.TemporaryDirectory(prefix="sideman-") as folder:
        try:
            subprocess.run(
                command,
                cwd=folder,
                check=True,
                timeout=180,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        except subprocess.CalledProcessError as error:
            lines = error.stderr.decode(errors="replace").strip().splitlines()
            reason = lines[-1][:200] if lines else f"exit status {error.returncode}"
            raise SidemanError(Code.BAD_FILE, f"{carrier.source}: {reason}") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SidemanError(Code.BAD_FILE, f"{carrier.source}: {error}") from None
        packages = list(Path(folder).iterdir())
        data = _member(packages[0], carrier) if len(packages) == 1 else b""
    if len(data) != carrier.size or hashlib.sha256(data).hexdigest() != carrier.sha256:
        raise SidemanError(Code.BAD_FILE, f"{carrier.source}: its {carrier.file} is not as known")
    return data


def _member(package: Path, carrier: Carrier) -> bytes:
    """One file out of an archive, into memory and nowhere else; nothing where it is not there."""
    try:
        if zipfile.is_zipfile(package):
            with zipfile.ZipFile(package) as wheel, wheel.open(carrier.member) as file:
                return file.read(carrier.size + 1)
        with tarfile.open(package) as tar:
            member = tar.extractfile(carrier.member)
            return member.read(carrier.size + 1) if member else b""
    except (KeyError, tarfile.TarError, zipfile.BadZipFile):
        return b""


def main(arguments: list[str] | None = None) -> int:
    """Says which SoundFont is used; with ``--fetch`` gets one where there is none.

    Exit status 0 also where none could be had, with a warning on stderr: music without sound is
    still music, and setup goes on.
    """
    parser = argparse.ArgumentParser(prog="python -m bridge.files.soundfont", description=__doc__)
    parser.add_argument("--fetch", action="store_true", help="get one if there is none")
    parser.add_argument("--dest", type=Path, help="the folder for it")
    options = parser.parse_args(arguments)
    try:
        font = None if options.dest else find_soundfont()
        if font is None and options.fetch:
            font = open_soundfont(fetch_soundfont(options.dest))
        print(f"SoundFont: {font or 'none; get one with --fetch'}")
    except SidemanError as error:
        print(f"warning: {error.text}", file=sys.stderr)
        print("warning: MIDI works without one; audio needs it", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
