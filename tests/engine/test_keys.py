import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import keys
from engine.errors import Code, SidemanError
from engine.keys import SCALES, Key

C_MAJOR = {0, 2, 4, 5, 7, 9, 11}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("C", Key(0, "major")),
        ("Cmin", Key(0, "minor")),
        ("C minor", Key(0, "minor")),
        ("Am", Key(9, "minor")),
        ("AM", Key(9, "major")),
        ("A MINOR", Key(9, "minor")),
        ("F#maj", Key(6, "major")),
        ("Bb dorian", Key(10, "dorian")),
        ("bb", Key(10, "major")),
        ("e♭ harmonic-minor", Key(3, "harmonic minor")),
        ("G_mixolydian", Key(7, "mixolydian")),
        ("E minor pentatonic", Key(4, "minor pentatonic")),
        ("A blues", Key(9, "blues")),
        ("Cb whole tone", Key(11, "whole tone")),
        ("chromatic", Key(0, "chromatic")),
    ],
)
def test_spellings(text: str, key: Key) -> None:
    assert keys.parse(text) == key


@pytest.mark.parametrize(
    "text", ["C", "D dorian", "E phrygian", "F lydian", "G mixolydian", "A aeolian", "B locrian"]
)
def test_modes_share_their_tones(text: str) -> None:
    assert keys.parse(text).pitch_classes == C_MAJOR


@pytest.mark.parametrize("tonic", range(12))
@pytest.mark.parametrize("scale", SCALES)
def test_a_name_reads_back(tonic: int, scale: str) -> None:
    key = Key(tonic, scale)
    assert keys.parse(key.name) == key
    assert tonic in key.pitch_classes
    assert len(key.pitch_classes) == len(SCALES[scale])


@pytest.mark.parametrize("text", ["", "H", "C foo", "Cmm", "7", "C#b minor"])
def test_unknown_keys_are_told_the_known_ones(text: str) -> None:
    with pytest.raises(SidemanError) as caught:
        keys.parse(text)
    assert caught.value.code is Code.BAD_ARGUMENTS
    assert all(scale in caught.value.text for scale in SCALES)


@given(st.text())
def test_garbage_is_refused_or_read(text: str) -> None:
    with contextlib.suppress(SidemanError):
        assert keys.parse(text).pitch_classes
