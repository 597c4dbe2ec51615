"""The session on disk: a journal, and each take as a MIDI or audio file beside its description.

``sessions/DATE-TIME/journal.jsonl`` holds one event a line, in the order in which they happened;
playing them back gives the session again. Takes are written under another name and renamed, so
that a take is there whole or not at all. Sound is written while it is made, into a file that has
its whole length from the beginning; its description comes last, and a take without one is none.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TextIO

from bridge.files.atomic import replacing
from bridge.files.midi_file import write_midi
from bridge.files.midi_song import MidiSong, MidiTrack, Tempo, restruck
from engine.conductor import Conductor
from engine.errors import Code, SidemanError
from engine.music import Meter, MeterMap, Note
from engine.ports import Chunk
from engine.session import Session
from engine.takes import Take
from engine.tape import Tape
from engine.triggers import Action, Trigger
from engine.worker.wire import row

if TYPE_CHECKING:
    from bridge.files.audio_file import Recorder

log = logging.getLogger(__name__)

JOURNAL = "journal.jsonl"
LONGEST_LINE = 16 * 2**20

Then = Callable[[str | None], None]


def new_folder(sessions: Path, now: datetime) -> Path:
    """Make ``sessions/DATE-TIME``. Raises ``not-allowed`` where that can't be written."""
    name = now.strftime("%Y-%m-%d-%H%M%S")
    try:
        sessions.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            folder = sessions / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise SidemanError(
            Code.NOT_ALLOWED, f"cannot keep a session in {sessions}: {error.strerror}"
        ) from error
    raise SidemanError(Code.NOT_ALLOWED, f"{sessions} is full of sessions of this second")


def newest(sessions: Path) -> Path | None:
    """The folder of the latest session that has a journal."""
    found = sorted(
        (path.parent for path in sessions.glob(f"*/{JOURNAL}")),
        key=lambda folder: (folder / JOURNAL).stat().st_mtime_ns,
    )
    return found[-1] if found else None


def was_cut_off(folder: Path) -> bool:
    """Whether the session's engine ended without its last word."""
    last: dict[str, Any] = {}
    for last in events(folder):  # noqa: B007 (the last one is what is wanted)
        pass
    return last.get("event") != "end"


def events(folder: Path) -> Iterator[dict[str, Any]]:
    """The journal's events. A last line that was cut off in the middle is passed over."""
    try:
        with (folder / JOURNAL).open(encoding="utf-8", errors="replace") as journal:
            for line in journal:
                with suppress(ValueError):
                    event = json.loads(line) if len(line) < LONGEST_LINE else None
                    if isinstance(event, dict):
                        yield event
    except FileNotFoundError:
        return


class Scribe:
    """Writes the session, in order, on a thread of its own.

    ``post`` hands a call to the conductor's thread; what is to be told when something is written
    goes through it. ``save`` and ``write`` may be called by one thread.
    """

    def __init__(self, folder: Path, post: Callable[[Callable[[], None]], None]) -> None:
        self.folder = folder
        self._post = post
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._journal: TextIO | None = None
        self._recorders: dict[int, Recorder] = {}
        """Takes of sound that are being made."""
        self._thread = threading.Thread(target=self._run, name="scribe", daemon=True)
        self._thread.start()

    def write(self, event: dict[str, Any], then: Then | None = None) -> None:
        """Append a line to the journal; see :class:`engine.ports.Store`."""
        self._jobs.put(lambda: self._do(lambda: self._append([event]), then))

    def write_all(self, events: Sequence[dict[str, Any]]) -> None:
        """Append many lines."""
        self._jobs.put(lambda: self._do(lambda: self._append(events), None))

    def save(self, take: Take, meters: MeterMap, bpm: float, then: Then) -> None:
        """Write a closed take's files, and its line in the journal."""
        about = description(take)
        song = take_song(take, meters, bpm) if take.tape is None else None
        self._jobs.put(lambda: self._do(lambda: self._save(take.number, about, song), then))

    def path(self, take: Take) -> str:
        """Where a take of sound lies; see :class:`engine.ports.Store`."""
        return str(self._stem(take.number).with_suffix(".wav"))

    def sound(self, take: Take, chunk: Chunk, then: Then) -> None:
        """Write a chunk of a take's sound."""
        number = take.number
        self._jobs.put(lambda: self._do(lambda: self._record(number, chunk), then))

    def drop(self, take: Take) -> None:
        """Remove the file of a take of sound that nothing came of."""
        self._jobs.put(lambda: self._do(lambda: self._forget(take.number), None))

    def close(self) -> None:
        """Write all that is waiting, and the session's end."""
        self.write({"event": "end"})
        self._jobs.put(None)
        self._thread.join()
        if self._journal is not None:
            self._journal.close()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _do(self, job: Callable[[], None], then: Then | None) -> None:
        error = None
        try:
            job()
        except Exception as failure:  # whatever it is, who waits for the file must not wait forever
            error = f"{self.folder}: {failure}"
            log.error("the session cannot be kept: %s", error)
        if then is not None:
            self._post(lambda: then(error))

    def _append(self, events: Sequence[dict[str, Any]]) -> None:
        if self._journal is None:
            self._journal = (self.folder / JOURNAL).open("a", encoding="utf-8")
            if self._journal.tell() and not _ends_with_newline(self.folder / JOURNAL):
                self._journal.write("\n")
        for event in events:
            self._journal.write(json.dumps(event, separators=(",", ":")) + "\n")
        self._journal.flush()

    def _stem(self, number: int) -> Path:
        return self.folder.resolve() / f"take-{number:04d}"

    def _record(self, number: int, chunk: Chunk) -> None:
        recorder = self._recorders.get(number)
        if recorder is None:
            from bridge.files.audio_file import Recorder  # imported where there is sound

            path = self._stem(number).with_suffix(".wav")
            recorder = Recorder(path, chunk.total, chunk.rate, chunk.channels)
            self._recorders[number] = recorder
        recorder.write(chunk.at, chunk.data)

    def _forget(self, number: int) -> None:
        if (recorder := self._recorders.pop(number, None)) is not None:
            recorder.close()
            self._stem(number).with_suffix(".wav").unlink(missing_ok=True)

    def _save(self, number: int, about: dict[str, Any], song: MidiSong | None) -> None:
        stem = self._stem(number)
        if song is not None:
            write_midi(stem.with_suffix(".mid"), song)
        elif (recorder := self._recorders.pop(number, None)) is not None:
            recorder.close()
        with replacing(stem.with_suffix(".json")) as part:
            part.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        self._append([{"event": "take", "take": number}])


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def description(take: Take) -> dict[str, Any]:
    """What ``take-NNNN.json`` holds."""
    about = {
        "take": take.number,
        "track": take.track,
        "verb": take.verb,
        "bar": take.bar,
        "bars": take.bars,
        "preset": take.preset,
        "model": take.model,
        "model_hash": take.model_hash,
        "seed": take.seed,
        "variation": take.variation,
        "context_hash": take.context_hash,
        "timing": dict(take.timing),
        "midi": take.midi,
        "amends": take.amends,
        "channels": {str(program): channel for program, channel in take.channels.items()},
        "notes": [row(note) for note in take.notes],
    }
    if take.tape is not None:
        about |= {"sound": take.tape.about(), "report": take.report}
    return about


def described(about: dict[str, Any], sound: Path | None = None) -> Take:
    """The take that :func:`description` describes; its sound lies in the file ``sound``.

    Raises ``ValueError`` or ``KeyError``.
    """
    tape = Tape.of(str(sound), about["sound"]) if "sound" in about else None
    return Take(
        number=int(about["take"]),
        track=int(about["track"]),
        bar=int(about["bar"]),
        bars=int(about["bars"]),
        verb=str(about["verb"]),
        preset=str(about["preset"]),
        model=str(about["model"]),
        model_hash=str(about["model_hash"]),
        seed=int(about["seed"]),
        variation=int(about["variation"]),
        context_hash=str(about["context_hash"]),
        notes=[Note(*map(int, note)) for note in about["notes"]],
        channels={int(program): int(ch) for program, ch in about["channels"].items()},
        midi=bool(about.get("midi", False)),
        amends=bool(about.get("amends", False)),
        closed=True,
        timing=dict(about["timing"]),
        tape=tape,
        report=dict(about.get("report", {})),
    )


def take_song(take: Take, meters: MeterMap, bpm: float) -> MidiSong:
    """A take as a song of its own: its first bar is bar 0."""
    changes = [(bar - take.bar, meter) for bar, meter in meters.changes if bar > take.bar]
    own = MeterMap([(0, meters.at(take.bar)), *((b, m) for b, m in changes if b < take.bars)])
    tracks = []
    for program in sorted(take.channels):
        notes = [
            Note(n.bar - take.bar, n.tick, n.program, n.pitch, n.duration, n.velocity)
            for n in take.notes
            if n.program == program
        ]
        channel = take.channel(program)
        tracks.append(MidiTrack("", program, restruck(notes, own), channel=channel))
    return MidiSong(tuple(tracks), own, (Tempo.of_bpm(bpm),), own.start(take.bars))


def recall(folder: Path, conductor: Conductor) -> None:
    """Play the journal back: tracks, their past, takes, undo and redo are as they were."""
    session = conductor.session
    for event in events(folder):
        try:
            _replay(event, folder, session, conductor)
        except (KeyError, ValueError, TypeError, SidemanError, OSError) as error:
            log.warning("journal of %s: passed over %s (%s)", folder, event.get("event"), error)


def _take(folder: Path, event: dict[str, Any]) -> Take:
    path = folder / f"take-{int(event['take']):04d}.json"
    sound = path.resolve().with_suffix(".wav")
    return described(json.loads(path.read_text(encoding="utf-8")), sound)


def _replay(event: dict[str, Any], folder: Path, session: Session, conductor: Conductor) -> None:
    match event.get("event"):
        case "meters":
            meters = MeterMap((bar, Meter(num, den)) for bar, num, den in event["changes"])
            session.meters = meters
            conductor.clock.set_meters(meters)
        case "track":
            track = session.track(int(event["track"]))
            if event["program"] is not None:
                session.set_program(track, int(event["program"]))
            for name in ("name", "channel", "preset", "role"):
                setattr(track, name, event[name])
        case "played":
            track = session.track(int(event["track"]))
            bar = int(event["bar"])
            track.played.pop(bar, None)
            if event["notes"]:
                track.played[bar] = [Note(*map(int, n)) for n in event["notes"]]
        case "trigger":
            Trigger.parse(event["trigger"])
            Action.parse(event["action"])
            conductor.settings.learned[event["trigger"]] = event["action"]
        case "clear":
            session.clear(session.track(int(event["track"])))
        case "recording":
            track = session.track(int(event["track"]))
            kept = folder.resolve() / Path(event["file"]).name
            if kept.is_file():
                session.record(track, Tape.of(str(kept), event))
        case "take":
            conductor.book.known_take(int(event["take"]))
        case "placed":
            session.place(_take(folder, event))
            conductor.book.closed += 1
        case "alternative":
            take = _take(folder, event)
            session.takes[take.number] = take
            conductor.book.closed += 1
        case "keep":
            session.keep(session.takes[int(event["take"])])
        case "discard":
            session.discard(session.takes[int(event["take"])])
        case "undo":
            session.undo(session.track(int(event["track"])))
        case "redo":
            session.redo(session.track(int(event["track"])))
