"""200 takes on music that the model has not heard: what was asked for holds, each time.

That notes lie inside their take's bars, and all else that the contract says of every answer, is
held by the client.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest

from bridge.files.midi_file import read_midi
from engine.music import DRUMS
from tests.e2e.client import Answer, Client
from tests.e2e.engine import Engine
from tests.e2e.music import Music, excerpt, held_out, own_phrase, play
from tests.e2e.osc import Scalar

CONTEXTS = 20
WISHES = 8
"""Of each context, besides one that is asked for again, and once more with another seed."""

DRUM_CHANNEL = 10
SCALES = {"maj": (0, 2, 4, 5, 7, 9, 11), "min": (0, 2, 3, 5, 7, 8, 10)}
TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
TRIADS = {"": (0, 4, 7), "m": (0, 3, 7)}
PRESETS = (None, None, "piano", "bass", "strings", "trio", "answer", "drums")


@dataclass
class Wish:
    """What is asked for, and what has to be true of the answer."""

    track: int
    keys: dict[str, Scalar]
    scale: frozenset[int] | None = None
    low: int = 0
    high: int = 127
    tones: list[frozenset[int]] = field(default_factory=list)
    """The tones of the chord in each bar."""


def wish(music: Music, dice: random.Random) -> Wish:
    """Two to four bars on one of the tracks, with some of the keys."""
    bars = dice.randint(2, 4)
    found = Wish(dice.choice(music.parts).number, {"bars": bars, "at": music.bars})
    keys = found.keys
    keys["seed"] = dice.randrange(2**31)
    if preset := dice.choice(PRESETS):
        keys["preset"] = preset
    tonic, mode = dice.randrange(12), dice.choice(["maj", "min"])
    scale = frozenset((tonic + step) % 12 for step in SCALES[mode])
    if dice.random() < 0.5:
        keys["key"] = TONICS[tonic] + mode
        found.scale = scale
    if dice.random() < 0.4:
        found.low = dice.randint(36, 60)
        found.high = found.low + dice.randint(12, 30)
        keys["low"], keys["high"] = found.low, found.high
    if dice.random() < 0.4:
        chosen = [dice.choice(triads(scale)) for _ in range(bars)]
        keys["chords"] = "|".join(f"{name}:4" for name, _ in chosen)
        found.tones = [tones for _, tones in chosen]
    if dice.random() < 0.3:
        keys["temperature"] = round(dice.uniform(0.5, 1.5), 2)
    return found


def triads(scale: frozenset[int]) -> list[tuple[str, frozenset[int]]]:
    """The major and minor chords of a scale."""
    every = [
        (TONICS[root] + quality, frozenset((root + step) % 12 for step in steps))
        for root in range(12)
        for quality, steps in TRIADS.items()
    ]
    return [(name, tones) for name, tones in every if tones <= scale]


def hold(wanted: Wish, answer: Answer) -> None:
    """The answer is what was asked for."""
    assert answer.code == "done", (wanted, answer.end)
    assert answer.clip.bars == wanted.keys["bars"] and answer.notes, (wanted, answer)
    pitched = [note for note in answer.notes if note.channel != DRUM_CHANNEL]
    if wanted.keys.get("preset") == "drums":
        assert not pitched, (wanted, answer)
    for note in pitched:
        assert wanted.low <= note.pitch <= wanted.high, (wanted, note)
        assert wanted.scale is None or note.pitch % 12 in wanted.scale, (wanted, note)
    if wanted.tones and pitched:
        inside = sum(n.pitch % 12 in wanted.tones[n.bar - answer.clip.bar] for n in pitched)
        assert inside / len(pitched) >= 0.6, (wanted, answer)


def ask(client: Client, wanted: Wish, **other: Scalar) -> Answer:
    """A take, which goes again at once, so that none of them hears another."""
    answer = client.request("continue", wanted.track, **{**wanted.keys, **other})
    hold(wanted, answer)
    client.send("/sideman/discard", answer.clip.take)
    return answer


def contexts(data: Path, dice: random.Random) -> Iterator[Music]:
    """Eight to sixteen bars each, from one held-out piece after the other."""
    pieces = held_out(data)
    dice.shuffle(pieces)
    while True:
        for piece in pieces:
            bars = dice.randint(8, 16)
            first = dice.randrange(max(1, read_midi(piece).bars - bars))
            music = excerpt(piece, first, bars)
            if music is not None and any(part.program != DRUMS for part in music.parts):
                yield music


def make_takes(engine: Engine, music: Music, dice: random.Random) -> list[Wish]:
    """Takes after one context; what was asked for, of each."""
    wishes = [wish(music, dice) for _ in range(WISHES)]
    with Client(engine) as client:
        play(client, music)
        answers = [ask(client, wanted) for wanted in wishes]
        longest = max(range(WISHES), key=lambda i: len(answers[i].notes))
        again = ask(client, wishes[longest])
        assert again.notes == answers[longest].notes
        other = ask(client, wishes[longest], seed=dice.randrange(2**31))
        assert other.notes != again.notes
        assert [m for m in client.news() if m.address != "/sideman/done"] == []
        return [*wishes, wishes[longest], wishes[longest]]


@pytest.mark.slow
def test_200_takes_on_held_out_pieces(engine: Engine, music_data: Path) -> None:
    dice = random.Random(2026)
    chosen = islice(contexts(music_data, dice), CONTEXTS)
    made = [wanted for music in chosen for wanted in make_takes(engine, music, dice)]
    assert len(made) == 200
    for key in ("key", "low", "chords", "preset"):
        assert sum(key in wanted.keys for wanted in made) > 40, key


def test_takes_on_the_phrase_that_ships(engine: Engine) -> None:
    dice = random.Random(7)
    for bars in (8, 12):
        make_takes(engine, own_phrase(bars), dice)
