"""A player that plays nothing and keeps what it would play; see :class:`engine.ports.Player`."""

from __future__ import annotations

from collections.abc import Sequence

from engine.timing import Course, Timed


class FakePlayer:
    """Keeps what a player would still play, by track."""

    def __init__(self) -> None:
        self.notes: dict[int, list[Timed]] = {}
        self.late: dict[int, float | None] = {}
        self.ended: list[int] = []
        self.courses: list[Course] = []
        self.silenced = False

    def follow(self, course: Course) -> None:
        self.courses.append(course)

    def play(self, track: int, notes: Sequence[Timed], late_seconds: float | None = None) -> None:
        self.late[track] = late_seconds
        self.notes.setdefault(track, []).extend(notes)

    def cut(self, track: int, start: int, end: int | None, *, sounding: bool) -> None:
        kept = [
            n
            for n in self.notes.get(track, [])
            if n.onset < start or (end is not None and n.onset >= end)
        ]
        self.notes[track] = kept
        if sounding:
            self.ended.append(track)

    def silence(self) -> None:
        self.notes.clear()
        self.silenced = True

    def pitches(self, track: int = 1) -> list[int]:
        return [note.pitch for note in sorted(self.notes.get(track, []))]
