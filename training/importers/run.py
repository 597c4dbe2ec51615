"""``sideman train import``: one file, or all in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from engine.errors import Code, SidemanError
from training.importers.formats import Format, recognise
from training.importers.song import write_midi
from training.processes import pool, undisturbed

MIDI_SUFFIXES = (".mid", ".midi")


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What a checkpoint does not say about itself."""

    name: str | None = None
    licence: str = ""
    dtype: str = "float32"
    base: Path | None = None
    """The checkpoint that a LoRA changes, or the name of the model that concepts are for."""
    tokenizer: Path | None = None
    """The ``tokenizer.json`` of the model."""


@dataclass(slots=True)
class Imported:
    """What came of it."""

    files: list[Path] = field(default_factory=list)
    """What was written: MIDI files, or model folders."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Files that were passed over, each with the reason."""
    formats: dict[str, int] = field(default_factory=dict)
    """How many files of each format were read."""


def import_path(
    source: Path,
    output: Path,
    *,
    options: ModelOptions | None = None,
    tokens: bool = False,
    jobs: int = 1,
    progress: Callable[[float], None] = lambda _: None,
) -> Imported:
    """Import the file or folder ``source`` to ``output``.

    A file becomes the MIDI file ``output`` where that ends in ``.mid``, otherwise goes into the
    folder ``output``; a checkpoint becomes the model folder ``output``. A folder becomes one like
    it, in which every file has its place; files that fail are listed and the others go on. With
    ``tokens``, all songs become one data set of `lpd5_tokens`. ``jobs`` files are read at a time,
    with the same result for any number. Raises ``bad-file`` for a single file that fails, and for
    a folder in which nothing can be imported.
    """
    options = options or ModelOptions()
    if not source.exists():
        raise SidemanError(Code.BAD_FILE, f"{source}: no such file or folder")
    if tokens:
        return _import_tokens(source, output)
    if not source.is_dir():
        return _import_file(source, output, options)
    sources = list(_files(source))
    places = _places(source, sources, output)
    work = partial(_attempt, options=options)
    done = Imported()
    for i, (path, result) in enumerate(
        zip(sources, _run(work, sources, places, jobs), strict=True)
    ):
        _add(done, path.relative_to(source), result)
        progress((i + 1) / len(sources))
    return _some(done, source)


def _import_file(source: Path, output: Path, options: ModelOptions) -> Imported:
    named = output.suffix.lower() in MIDI_SUFFIXES
    place = output.with_suffix("") if named else output / source.stem
    try:
        kind = recognise(source)
        if not kind.reader:
            files = [_import_model(kind, source, output, options)]
        else:
            files = _write_songs(kind, source, place)
    except SidemanError as error:
        raise _named(source, error) from error
    if named and files == [place.with_name(f"{place.name}.mid")]:
        files = [files[0].replace(output)]
    return Imported(files, [], {kind.name: 1})


def _attempt(source: Path, place: Path, options: ModelOptions) -> tuple[str, list[Path]] | str:
    """Import one file of many: its format and what was written, or why nothing was."""
    try:
        kind = recognise(source)
        if not kind.reader:
            return kind.name, [_import_model(kind, source, place, options)]
        return kind.name, _write_songs(kind, source, place)
    except SidemanError as error:
        return _named(source, error).text.removeprefix(f"{source.name}: ")
    except MemoryError:
        return "needs more memory than there is"
    except Exception as error:  # one file of a thousand must not end the run
        return f"cannot be read, and should have been refused: {type(error).__name__}"


def _write_songs(kind: Format, source: Path, place: Path) -> list[Path]:
    files = []
    for suffix, song in kind.songs(source):
        path = place.with_name(f"{place.name}{suffix}.mid")
        write_midi(song, path)
        files.append(path)
    if not files:
        raise SidemanError(Code.BAD_FILE, "has no music in it")
    return files


def _import_model(kind: Format, source: Path, output: Path, options: ModelOptions) -> Path:
    if kind.name == "concept":
        from training.importers.inversion import import_concepts

        base = None if options.base is None else str(options.base)
        import_concepts(source, output, name=options.name, licence=options.licence, base=base)
        return output
    from training.import_rwkv import import_pth

    import_pth(
        source,
        output,
        name=options.name,
        licence=options.licence,
        dtype=options.dtype,
        base=options.base,
        tokenizer=options.tokenizer,
    )
    return output


def _import_tokens(source: Path, output: Path) -> Imported:
    """All songs as one data set of the 423 tokens."""
    from training.importers.lpd5_tokens import encode, write_tokens

    sources = list(_files(source)) if source.is_dir() else [source]
    root = source if source.is_dir() else source.parent
    done = Imported()

    def pieces() -> Iterator[list[int]]:
        for path in sources:
            try:
                kind = recognise(path)
                if not kind.reader:
                    raise SidemanError(Code.BAD_FILE, "is a model, and has no songs in it")
                songs = [encode(song) for _, song in kind.songs(path)]
            except SidemanError as error:
                _add(done, path.relative_to(root), _named(path, error).text)
                continue
            _add(done, path.relative_to(root), (kind.name, []))
            yield from songs

    done.files = write_tokens(pieces(), output)
    return _some(done, source)


def _files(folder: Path) -> Iterator[Path]:
    """Every plain file below ``folder`` in order; hidden ones, and links, are not followed."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


def _places(folder: Path, sources: Sequence[Path], output: Path) -> list[Path]:
    """Where each file's music goes, without the ending; files that share a name keep their own."""
    stems = [path.with_suffix("") for path in sources]
    counts: dict[Path, int] = {}
    for stem in stems:
        counts[stem] = counts.get(stem, 0) + 1
    return [
        output / (stem if counts[stem] == 1 else path).relative_to(folder)
        for path, stem in zip(sources, stems, strict=True)
    ]


def _run(
    work: Callable[[Path, Path], Any], sources: Sequence[Path], places: Sequence[Path], jobs: int
) -> Iterator[Any]:
    """The results in the order of the files, however many processes work."""
    if jobs == 1 or len(sources) < 2:
        yield from map(work, sources, places)
        return
    try:
        with pool(jobs) as workers:
            with undisturbed():
                results = workers.map(work, sources, places, chunksize=8)
            yield from results
    except BrokenProcessPool as error:
        text = "a process was killed, most likely for want of memory: go on with fewer --jobs"
        raise SidemanError(Code.WORKER_DIED, text) from error


def _add(done: Imported, path: Path, result: tuple[str, list[Path]] | str) -> None:
    if isinstance(result, str):
        done.skipped.append((str(path), result))
        return
    kind, files = result
    done.files += files
    done.formats[kind] = done.formats.get(kind, 0) + 1


def _some(done: Imported, source: Path) -> Imported:
    """The same. Raises ``bad-file`` where nothing at all could be read."""
    if done.formats:
        return done
    first = f", the first, {done.skipped[0][0]}, {done.skipped[0][1]}" if done.skipped else ""
    text = f"{source}: none of its {len(done.skipped)} files can be imported{first}"
    raise SidemanError(Code.BAD_FILE, text)


def _named(path: Path, error: SidemanError) -> SidemanError:
    """The same error, beginning with the file's name."""
    if error.text.startswith((path.name, "cannot write")):
        return error
    return SidemanError(error.code, f"{path.name}: {error.text}")
