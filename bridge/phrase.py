"""The phrase that ships: eight bars for piano, bass and drums, written for Sideman."""

from __future__ import annotations

from engine.music import DRUMS, Note, ticks

BPM = 108.0
BARS = 8

PIANO, BASS = 0, 33
KICK, SNARE, HAT, OPEN_HAT, CRASH = 36, 38, 42, 46, 49

# Each bar: the chord of the right hand, and the root in the bass.
CHORDS = (
    ((57, 60, 64), 33),  # A minor
    ((57, 60, 65), 29),  # F
    ((55, 60, 64), 36),  # C
    ((55, 59, 62), 31),  # G
    ((57, 60, 64), 33),
    ((57, 60, 65), 29),
    ((55, 60, 64), 36),
    ((56, 59, 64), 28),  # E, which wants to go home
)
COMPING = ((0.0, 1.0, 74), (1.5, 0.5, 66), (2.5, 1.0, 70))
"""Beat, length in beats, velocity."""

# The melody: (beat, length, pitch) for each bar.
MELODY = (
    ((0.0, 1.0, 76), (1.0, 0.5, 74), (1.5, 1.0, 72), (3.0, 0.5, 71), (3.5, 0.5, 72)),
    ((0.0, 1.5, 69), (2.0, 0.5, 72), (2.5, 0.5, 74), (3.0, 1.0, 76)),
    ((0.0, 1.0, 79), (1.0, 0.5, 76), (1.5, 1.0, 74), (3.0, 0.5, 72), (3.5, 0.5, 74)),
    ((0.0, 2.0, 71), (2.5, 0.5, 67), (3.0, 0.5, 69), (3.5, 0.5, 71)),
    ((0.0, 1.0, 76), (1.0, 0.5, 74), (1.5, 1.0, 72), (3.0, 0.5, 71), (3.5, 0.5, 72)),
    ((0.0, 1.5, 69), (2.0, 0.5, 72), (2.5, 0.5, 74), (3.0, 1.0, 77)),
    ((0.0, 1.0, 76), (1.0, 1.0, 79), (2.0, 1.0, 76), (3.0, 1.0, 74)),
    ((0.0, 1.5, 71), (1.5, 0.5, 74), (2.0, 2.0, 76)),
)
BASS_LINE = ((0.0, 1.0, 0, 92), (1.5, 0.5, 0, 78), (2.0, 1.0, 7, 84), (3.0, 0.5, 0, 80),
             (3.5, 0.5, 12, 76))  # fmt: skip
"""Beat, length, semitones above the root, velocity."""

BEAT = (
    (0.0, KICK, 104), (2.5, KICK, 92), (1.0, SNARE, 98), (3.0, SNARE, 102),
    *((eighth / 2, HAT, 78 if eighth % 2 == 0 else 58) for eighth in range(7)),
    (3.5, OPEN_HAT, 70),
)  # fmt: skip


def phrase() -> dict[str, list[Note]]:
    """The notes of each track, by its name, in order of onset."""
    return {"piano": sorted(_piano()), "bass": sorted(_bass()), "drums": sorted(_drums())}


PROGRAMS = {"piano": PIANO, "bass": BASS, "drums": DRUMS}
"""What each track of the phrase is."""


def _piano() -> list[Note]:
    notes = []
    for bar, ((chord, _), melody) in enumerate(zip(CHORDS, MELODY, strict=True)):
        for beat, length, velocity in COMPING:
            notes += [_note(bar, beat, PIANO, pitch, length, velocity) for pitch in chord]
        notes += [_note(bar, beat, PIANO, pitch, length, 94) for beat, length, pitch in melody]
    return notes


def _bass() -> list[Note]:
    return [
        _note(bar, beat, BASS, root + step, length, velocity)
        for bar, (_, root) in enumerate(CHORDS)
        for beat, length, step, velocity in BASS_LINE
    ]


def _drums() -> list[Note]:
    notes = [
        _note(bar, beat, DRUMS, pitch, 0.25, velocity)
        for bar in range(BARS)
        for beat, pitch, velocity in BEAT
    ]
    return [_note(0, 0.0, DRUMS, CRASH, 0.25, 96), *notes]


def _note(bar: int, beat: float, program: int, pitch: int, length: float, velocity: int) -> Note:
    return Note(bar, ticks(beat), program, pitch, ticks(length), velocity)
