"""The session's memory: tracks, what was played on them, and the takes that lie there.

Called by one thread only, the conductor's. Knows musical time and no seconds, but for the length
of a note that is still held.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from engine.errors import Code, SidemanError
from engine.messages.keys import LAST_BAR
from engine.messages.spec import LAST_TRACK, TrackRef
from engine.music import DRUM_CHANNEL, DRUMS, MeterMap, Note
from engine.takes import History, Take, covering
from engine.tape import Tape

MAX_BAR_NOTES = 4096
"""Notes that a track may have in one bar: far beyond music, and what keeps a flood harmless."""


MAX_HAND_NOTES = 512
"""Notes that are kept of what is played by hand on a track in one bar."""


@dataclass(slots=True)
class Held:
    """A note that is sounding: its onset in absolute ticks, and its velocity."""

    onset: int
    velocity: int


@dataclass(slots=True)
class Track:
    """One track of the session. ``program`` is None until somebody says what it is."""

    number: int
    name: str
    program: int | None = None
    channel: int | None = None
    preset: str | None = None
    role: str = ""
    played: dict[int, list[Note]] = field(default_factory=dict)
    held: dict[int, Held] = field(default_factory=dict)
    history: History = field(default_factory=History)
    recording: Tape | None = None
    """The sound that was loaded onto it."""

    @property
    def sound(self) -> int:
        """The program that this track's notes are taken to have."""
        return 0 if self.program is None else self.program

    @property
    def output_channel(self) -> int:
        """The channel, 1 to 16, that its notes go out on."""
        if self.channel is not None:
            return self.channel
        if self.program == DRUMS:
            return DRUM_CHANNEL
        melodic = [c for c in range(1, 17) if c != DRUM_CHANNEL]
        return melodic[(self.number - 1) % len(melodic)]


class Session:
    """All tracks on one timeline.

    ``changed`` collects the bars whose notes differ from what was last told to the model; who
    tells it takes them with :meth:`take_changes`.
    """

    def __init__(self) -> None:
        self.meters = MeterMap()
        self.tracks: dict[int, Track] = {}
        self.takes: dict[int, Take] = {}
        self.last_track: int | None = None
        self._changed: set[int] = set()
        self._phrase = range(0)

    # Tracks

    def track(self, ref: TrackRef) -> Track:
        """The track of that number or name. A number makes the track; a name must be known."""
        if isinstance(ref, int):
            if not 0 <= ref <= LAST_TRACK:
                raise SidemanError(
                    Code.UNKNOWN_TRACK, f"track {ref} does not exist: tracks are 0 to {LAST_TRACK}"
                )
            if ref not in self.tracks:
                self.tracks[ref] = Track(ref, str(ref))
            return self.tracks[ref]
        for track in self.tracks.values():
            if track.name == ref:
                return track
        if ref.isdecimal():
            return self.track(int(ref))
        names = ", ".join(sorted(t.name for t in self.tracks.values())) or "none yet"
        raise SidemanError(
            Code.UNKNOWN_TRACK,
            f"no track is named {ref!r} (known: {names}); name one with /sideman/track/set",
        )

    def rename(self, track: Track, name: str) -> None:
        """Give a track a name of its own. Raises ``bad-arguments``."""
        other = next((t for t in self.tracks.values() if t.name == name), track)
        if other is not track or (name.isdecimal() and int(name) != track.number):
            raise SidemanError(Code.BAD_ARGUMENTS, f"the name {name!r} belongs to another track")
        if not name.strip() or "/" in name or len(name) > 64:
            raise SidemanError(
                Code.BAD_ARGUMENTS, "a track's name has 1 to 64 characters and no slash"
            )
        track.name = name

    def set_program(self, track: Track, program: int) -> None:
        """Say what a track is. What it has played so far is taken to have been that as well."""
        before = track.sound
        track.program = program
        if program == before:
            return
        for bar, notes in track.played.items():
            track.played[bar] = sorted(
                Note(n.bar, n.tick, program, n.pitch, n.duration, n.velocity)
                if n.program == before
                else n
                for n in notes
            )
            self._changed.add(bar)

    # What is played

    def play(self, track: Track, note: Note) -> None:
        """Add one whole note to a track's past. Its tick may lie beyond its bar."""
        place = self.meters.normal(note.onset)
        if place != note.onset:
            note = Note(
                place.bar, place.tick, note.program, note.pitch, note.duration, note.velocity
            )
        check_bar(track.name, note.bar, len(track.played.get(note.bar, ())) + 1)
        insort(track.played.setdefault(note.bar, []), note)
        self._changed.add(note.bar)
        self.last_track = track.number

    def play_instead(self, track: Track, bars: dict[int, list[Note]]) -> None:
        """These notes, in order, become a track's whole past; its takes are hidden."""
        self.clear(track)
        track.played = bars
        self._changed.update(bars)
        self.last_track = track.number

    def press(self, track: Track, pitch: int, velocity: int, onset: int) -> None:
        """A key goes down at ``onset`` absolute ticks. The same pitch, still down, ends first."""
        self.release(track, pitch, onset)
        track.held[pitch] = Held(onset, velocity)
        self.last_track = track.number

    def release(self, track: Track, pitch: int, end: int) -> Note | None:
        """A key comes up; the finished note joins the past. None where it was not down, or where
        the bar holds more than hands can play."""
        held = track.held.pop(pitch, None)
        if held is None:
            return None
        note = self._note(track, pitch, held, end)
        if len(track.played.get(note.bar, ())) >= MAX_HAND_NOTES:
            return None
        self.play(track, note)
        return note

    def _note(self, track: Track, pitch: int, held: Held, end: int) -> Note:
        place = self.meters.locate(held.onset)
        length = max(1, end - held.onset)
        return Note(place.bar, place.tick, track.sound, pitch, length, held.velocity)

    def is_held(self) -> bool:
        """Whether any note is held."""
        return any(track.held for track in self.tracks.values())

    def sounding(self, now: int) -> list[Note]:
        """The notes that are held at ``now`` absolute ticks, with their length so far."""
        return sorted(
            self._note(track, pitch, held, now)
            for track in self.tracks.values()
            for pitch, held in track.held.items()
        )

    def clear(self, track: Track) -> None:
        """Forget what was played on a track. Its takes stay, for undo; none of them is shown."""
        self._changed.update(track.played)
        self._touch(track)
        track.played.clear()
        track.held.clear()
        track.recording = None
        track.history.change(type(track.history.now)())
        self._touch(track)

    def record(self, track: Track, tape: Tape) -> None:
        """This sound becomes a track's whole past; its takes are hidden."""
        self.clear(track)
        track.recording = tape
        self.last_track = track.number

    def tapes(self, track: Track) -> list[Tape]:
        """The sound on a track; what covers the others comes last."""
        loaded = [] if track.recording is None else [track.recording]
        return loaded + [take.tape for take in self.active(track) if take.tape is not None]

    # Takes

    def active(self, track: Track) -> list[Take]:
        """The takes of a track that are not undone or discarded, the latest last."""
        return [self.takes[n] for n in track.history.now.active]

    def place(self, take: Take) -> None:
        """Put a closed take on its track."""
        self.takes[take.number] = take
        track = self.track(take.track)
        change = track.history.amend if take.amends else track.history.change
        change(track.history.now.placed(take.number))
        self._changed.update(range(take.bar, take.end))

    def keep(self, take: Take) -> None:
        """Make a take part of its track's past; one that was not shown is shown from now on."""
        track = self.track(take.track)
        self._touch(track)
        track.history.change(track.history.now.keeping(take.number))
        self._touch(track)

    def discard(self, take: Take) -> None:
        """Take it off its track; :meth:`undo` brings it back."""
        track = self.track(take.track)
        self._touch(track)
        track.history.change(track.history.now.without(take.number))

    def undo(self, track: Track) -> bool:
        """Show the takes that were shown before the last change; False where there was none."""
        return self._step(track, track.history.undo)

    def redo(self, track: Track) -> bool:
        """Take the last undo back; False where there is none."""
        return self._step(track, track.history.redo)

    def _step(self, track: Track, step: Callable[[], bool]) -> bool:
        self._touch(track)
        moved = step()
        self._touch(track)
        return moved

    def _touch(self, track: Track) -> None:
        """Every bar that a shown take holds may sound otherwise from now on."""
        for take in self.active(track):
            self._changed.update(range(take.bar, take.end))

    # What sounds where

    def notes(self, track: Track, bar: int) -> list[Note]:
        """What a track plays in a bar: what was played, and the take that lies there."""
        return sorted(self._sounds(track, bar))

    def _sounds(self, track: Track, bar: int) -> Iterable[Note]:
        return chain(track.played.get(bar, ()), _in(covering(self.active(track), bar), bar))

    def mix(self, bar: int, *, without: Iterable[int] = ()) -> list[Note]:
        """What all tracks play in a bar, in sounding order."""
        return sorted(self.sounds(bar, without=without))

    def sounds(self, bar: int, *, without: Iterable[int] = ()) -> Iterator[Note]:
        """The same in no order."""
        left_out = set(without)
        tracks = (track for track in self.tracks.values() if track.number not in left_out)
        return chain.from_iterable(self._sounds(track, bar) for track in tracks)

    def has_music(self, track: Track) -> bool:
        """Whether a track has anything to play, anywhere."""
        return bool(track.played) or any(take.notes for take in self.active(track))

    def bars(self, track: Track) -> set[int]:
        """The bars in which a track has anything to play."""
        found = set(track.played)
        for take in self.active(track):
            found.update(n.bar for n in take.notes)
        return found

    def heard(self, bar: int, most: int | None = None) -> Iterator[Note]:
        """What the model is to hear of a bar, in no order: all that sounds there, but for what was
        played on a track beyond its first ``most`` notes.

        In bars ahead of a standing song over which a phrase was played, that phrase is the past,
        and not the takes that are to come there and are not kept.
        """
        takes_of = self._kept if bar in self._phrase else self.active
        for track in self.tracks.values():
            yield from track.played.get(bar, [])[:most]
            yield from _in(covering(takes_of(track), bar), bar)

    def _kept(self, track: Track) -> list[Take]:
        return [take for take in self.active(track) if take.number in track.history.now.kept]

    def phrase_over(self, bars: range) -> None:
        """A phrase was played over these bars, which are ahead of a standing song."""
        if bars != self._phrase:
            self._changed.update({*bars} ^ {*self._phrase})
            self._phrase = bars

    def take_changes(self) -> list[int]:
        """The bars that changed since the last call, in order."""
        changed = sorted(self._changed)
        self._changed.clear()
        return changed

    def touch_all(self) -> None:
        """Mark every bar with music as changed: for a model that has heard nothing yet."""
        for track in self.tracks.values():
            self._changed.update(self.bars(track))

    def has_changes(self) -> bool:
        """Whether :meth:`take_changes` has anything to give."""
        return bool(self._changed)

    def end_of_music(self, before: int) -> int:
        """The bar after the last bar with a note, among the bars before ``before``."""
        return max(
            (b + 1 for t in self.tracks.values() for b in self.bars(t) if b < before), default=0
        )

    def programs(self, track: Track, last_bars: int = 8) -> tuple[int, ...]:
        """The programs that a track has used in its last bars of music."""
        bars = sorted(self.bars(track))[-last_bars:]
        return tuple(sorted({n.program for b in bars for n in self.notes(track, b)}))


def _in(take: Take | None, bar: int) -> Iterable[Note]:
    return () if take is None else (note for note in take.notes if note.bar == bar)


def check_bar(track: str, bar: int, count: int) -> None:
    """Refuse a bar that no song has, and more notes than a track may have in one."""
    if bar > LAST_BAR:
        raise SidemanError(Code.BAD_ARGUMENTS, f"bar {bar} is beyond bar {LAST_BAR}")
    if count > MAX_BAR_NOTES:
        raise SidemanError(
            Code.BAD_ARGUMENTS,
            f"bar {bar} of track {track} is full: it holds {MAX_BAR_NOTES} notes",
        )
