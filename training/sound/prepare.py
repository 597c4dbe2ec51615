"""Sound files, and what is said of them, to an audio data set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import Code, SidemanError
from training import runs
from training.files import check_replaceable, made_whole
from training.sound import layouts
from training.sound.dataset import (
    CODES,
    DATA_JSON,
    FORMAT,
    HELD_OUT,
    RATE,
    STATISTICS_JSON,
    TRAIN,
    Clip,
    Clips,
    write_json,
)
from training.sound.prompts import check_template, prompt_of
from training.sound.sources import Found, Item, Wishes, find
from training.sound.split import held_out
from training.sound.statistics import statistics
from training.sound.treating import Cut, Treated, Treatment, clear_parts
from training.sound.workers import treat_all, worth
from training.work import Work, at_work

KEPT = "kept"
"""Folder in the run's one: clips of files that are done."""

Told = Callable[[str, int, int], None]
"""Told what is being done, ``sound`` or ``codes``, how much of it, and of how much."""


@dataclass(frozen=True, slots=True)
class PrepareConfig:
    """What :func:`prepare` reads and writes."""

    audio: Path
    """A folder of sound, one file, or a table that names files."""

    output: Path
    wishes: Wishes = field(default_factory=Wishes)
    treatment: Treatment = field(default_factory=Treatment)
    template: str | None = None
    """How prompts are put together; None leaves those that somebody wrote."""

    held_out: float = 0.1
    """Share of the files that is kept apart."""

    model: Path | None = None
    """Folder of the MusicGen whose codec makes codes; None makes none."""

    device: str = "cpu"
    layout: str = "sideman"
    jobs: int | None = None
    """Processes; 1 does the work in this one. None takes as many as pay."""

    seed: int = 0
    run_folder: Path | None = None
    """Where unfinished work is kept. None is ``output`` with ``.run`` at its end."""

    @property
    def work(self) -> Path:
        """The run folder."""
        return self.run_folder or self.output.with_name(f"{self.output.name}.run")


@dataclass(frozen=True, slots=True)
class Summary:
    """What was made."""

    clips: Clips
    skipped: list[dict[str, str]]
    """``path`` and ``reason`` of each file that was left out."""


def prepare(config: PrepareConfig, tell: Told | None = None) -> Summary:
    """Make the data set.

    The same files and settings give the same bytes, on however many processes. ``output`` appears
    when all its clips are there, and its codes after that. What ends before, in whatever way, goes
    on when it is called again. Raises `SidemanError` where there is nothing to be made, or no room.
    """
    _check(config)
    tell = tell or (lambda what, done, total: None)
    found = find(config.audio, config.wishes)
    kept = config.work / KEPT / config.treatment.key
    runs.note(config.work)
    with at_work(config.work, _settings(config, found)) as work:
        kept.mkdir(parents=True, exist_ok=True)
        clear_parts(kept)
        treated = _treat(found.items, kept, config, work, tell)
        used = _sift(found, treated, config.audio)
        clips, places = _clips(used, config)
        if not _is_made(config.output, clips, _settings(config, found)):
            _assemble(clips, [kept / place for place in places], used, found, config)
        made = Clips.open(config.output)
        _encode(made, config, tell)
        shutil.rmtree(config.work / KEPT, ignore_errors=True)
    return Summary(made, found.skipped)


Used = tuple[Item, Treated]
"""A file that gave clips."""


def _check(config: PrepareConfig) -> None:
    """Refuse before hours of work what would fail after them."""
    check_replaceable(config.output, (DATA_JSON,))
    audio, output = config.audio.resolve(), config.output.resolve()
    if audio == output or output in audio.parents or audio in output.parents:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"{config.output}: the data can't lie in the folder of the sound, nor around it",
        )
    if config.template is not None:
        check_template(config.template)
    if config.layout == "thesis" and config.model is None:
        raise SidemanError(
            Code.BAD_ARGUMENTS, "the thesis's layout holds codes: name a model with --model"
        )


def _treat(
    items: Sequence[Item], kept: Path, config: PrepareConfig, work: Work, tell: Told
) -> list[Treated]:
    """What came of each file, in their order."""
    results = [Treated()] * len(items)
    paths = [item.path for item in items]
    jobs = config.jobs or worth(len(paths))
    tell("sound", 0, len(paths))
    for done, (number, result) in enumerate(
        treat_all(paths, config.treatment, kept, jobs), start=1
    ):
        results[number] = result
        work.step(done)
        tell("sound", done, len(paths))
    return results


def _sift(found: Found, treated: Sequence[Treated], audio: Path) -> list[Used]:
    """The files that gave clips, each content once; the others go to those skipped.

    Raises ``bad-file`` where none did, and where a table is wrong about a file's rate.
    """
    used: list[Used] = []
    first: dict[str, str] = {}
    for item, result in zip(found.items, treated, strict=True):
        reason = result.reason
        if not reason:
            _check_rate(item, result, found)
            same = first.setdefault(result.sha256, item.name)
            reason = "" if same == item.name else f"is the same file as {same}"
        if reason:
            found.skipped.append({"path": item.name, "reason": reason})
        else:
            used.append((item, result))
    found.skipped.sort(key=lambda entry: entry["path"])
    if not used:
        one = found.skipped[0]
        raise SidemanError(
            Code.BAD_FILE,
            f"{audio}: none of its {len(found.skipped)} files can be used; the first, "
            f"{one['path']}: {one['reason']}",
        )
    return used


def _check_rate(item: Item, result: Treated, found: Found) -> None:
    if item.said.rate not in (None, result.rate):
        raise SidemanError(
            Code.BAD_FILE,
            f"{found.table} says that {item.name} is at {item.said.rate} Hz, and it is at "
            f"{result.rate}: the list is of other files; mend it or leave sample_rate out",
        )


def _clips(used: Sequence[Used], config: PrepareConfig) -> tuple[list[Clip], list[str]]:
    """The clips in their order, and where each one's sound is among what is kept."""
    concepts = {treated.sha256: item.said.concept for item, treated in used if not item.said.split}
    apart = held_out(concepts, config.held_out, config.seed)
    clips: list[Clip] = []
    places: list[str] = []
    for item, treated in used:
        split = item.said.split or (HELD_OUT if treated.sha256 in apart else TRAIN)
        for cut in treated.clips:
            clip = _clip(item, cut, split, config)
            audio = layouts.LAYOUTS[config.layout](len(clips) + 1, clip)
            clips.append(replace(clip, audio=audio))
            places.append(f"{treated.sha256}/{cut.file}")
    return clips, places


def _clip(item: Item, cut: Cut, split: str, config: PrepareConfig) -> Clip:
    said = item.said
    return Clip(
        folder=config.output,
        audio="",
        prompt=prompt_of(said, item.path.stem, config.template),
        name=f"{item.path.stem}.{int(Path(cut.file).stem)}",
        seconds=cut.seconds,
        concept=said.concept or None,
        licence=said.licence or None,
        source=item.name,
        start=cut.start,
        split=split,
    )


def _is_made(output: Path, clips: Sequence[Clip], settings: dict[str, Any]) -> bool:
    """Whether a run that was stopped later has made this data set already, but for its codes."""
    try:
        there = Clips.open(output)
    except SidemanError:
        return False
    same = [replace(clip, code_file=None) for clip in there.clips] == list(clips)
    return (
        same
        and there.settings == settings
        and (output / STATISTICS_JSON).is_file()
        and all((output / clip.audio).is_file() for clip in clips)
    )


def _assemble(
    clips: Sequence[Clip],
    sounds: Sequence[Path],
    used: Sequence[Used],
    found: Found,
    config: PrepareConfig,
) -> None:
    """Put the data set together and in its place."""
    table = {
        "format": FORMAT,
        "rate": RATE,
        "channels": config.treatment.channels,
        "clips": len(clips),
        "seconds": round(sum(clip.seconds for clip in clips), 3),
        "seed": config.seed,
        "settings": _settings(config, found),
    }
    with made_whole(config.output, (DATA_JSON,)) as folder:
        for clip, sound in zip(clips, sounds, strict=True):
            place = folder / clip.audio
            place.parent.mkdir(parents=True, exist_ok=True)
            _linked(sound, place)
        (folder / CODES).mkdir()
        size = sum((folder / clip.audio).stat().st_size for clip in clips)
        treated = [each for _, each in used]
        write_json(folder / STATISTICS_JSON, statistics(clips, treated, found.skipped, size))
        Clips(folder, clips, table).save()


def _linked(sound: Path, place: Path) -> None:
    """Give a file a second place without copying it, where the system can."""
    with suppress(OSError):
        os.link(sound, place)
        return
    shutil.copyfile(sound, place)


def _encode(clips: Clips, config: PrepareConfig, tell: Told) -> None:
    if config.model is None:
        return
    from engine.models.musicgen.model import MusicGen

    tell("codes", 0, len(clips.clips))
    model = MusicGen.load(config.model, device=config.device)
    clips.encode(model, lambda done, total: tell("codes", done, total))
    if config.layout == "thesis":
        layouts.write_thesis_lists(clips)
        layouts.write_thesis_codes(clips)


def _settings(config: PrepareConfig, found: Found) -> dict[str, Any]:
    """What ``data.json`` and ``run.json`` say of what was asked."""
    treatment = config.treatment
    return {
        "command": "audio-data",
        "audio": config.audio.name,
        "table": found.table,
        "column": config.wishes.column,
        "fma": config.wishes.fma is not None,
        "concepts": config.wishes.concepts,
        "licences": list(config.wishes.licences),
        "folders": found.folders,
        "level": treatment.level.value,
        "target": treatment.target,
        **asdict(treatment.cutting),
        "template": config.template,
        "held_out": config.held_out,
        "layout": config.layout,
    }
