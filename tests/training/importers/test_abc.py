"""ABC tunes: the notes that sound. Times are quarter notes; C is middle C."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import symusic
from hypothesis import given
from hypothesis import strategies as st

from engine.chords import Chord
from engine.errors import SidemanError
from engine.music import DRUMS, Meter
from training.importers.abc import read_abc, read_tune
from training.importers.sheet import perform
from training.importers.song import Song

BEAT = 960


def tune(body: str, key: str = "C", head: str = "") -> Song:
    return perform(read_tune(f"X:1\nT:Tune\nM:4/4\nL:1/4\n{head}K:{key}\n{body}\n"))


def sounding(body: str, key: str = "C", head: str = "") -> list[tuple[float, int, float]]:
    song = tune(body, key, head)
    return [
        (round(n.start / BEAT, 3), n.pitch, round(n.duration / BEAT, 3))
        for part in song.parts
        for n in part.notes
    ]


def pitches(body: str, key: str = "C", head: str = "") -> list[int]:
    return [pitch for _, pitch, _ in sounding(body, key, head)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("C, C c c'", [48, 60, 72, 84]),
        ("^C ^^C _C __C =C", [61, 62, 59, 58, 60]),
        ("^F F | F", [66, 66, 65]),
        ("^F- | F F", [66, 65]),
        ("[CEG]2 {cd}e ~f", [60, 64, 67, 76, 77]),
        ("!trill!C +fermata+D \"^text\"E", [60, 62, 64]),
        ("C % comment D\nE", [60, 64]),
        ("w: words are not notes\nC", [60]),
    ],
)  # fmt: skip
def test_pitches(body: str, expected: list[int]) -> None:
    assert pitches(body) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("C", [65, 71]), ("G", [66, 71]), ("Dm", [65, 70]), ("D", [66, 71]), ("Eb", [65, 70]),
        ("A dor", [66, 71]), ("Gmix", [65, 71]), ("F#min", [66, 71]), ("none", [65, 71]),
        ("C exp ^f _b", [66, 70]), ("D Phr ^f", [66, 70]), ("HP", [66, 71]), ("E lydian", [66, 71]),
        ("Bb", [65, 70]), ("C clef=bass", [65, 71]), ("C octave=-1", [53, 59]), ("Cb", [64, 70]),
    ],
)  # fmt: skip
def test_key_signatures(key: str, expected: list[int]) -> None:
    assert pitches("F B", key) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("C2 D/ E/2 F// G3/2", [(0, 2), (2, 0.5), (2.5, 0.5), (3, 0.25), (3.25, 1.5)]),
        ("C>D E<F", [(0, 1.5), (1.5, 0.5), (2, 0.5), (2.5, 1.5)]),
        ("C>>D", [(0, 1.75), (1.75, 0.25)]),
        ("(3CDE F", [(0, 0.667), (0.667, 0.667), (1.333, 0.667), (2, 1)]),
        ("(3:2:2C2D E", [(0, 1.333), (1.333, 0.667), (2, 1)]),
        ("z C x D", [(1, 1), (3, 1)]),
        ("Z2 | C", [(8, 1)]),
        ("C2-C2 | D4-|D2", [(0, 4), (4, 6)]),
        ("[C2-E2] [CE]2", [(0, 4), (0, 2), (2, 2)]),
        ("C4 & E4 | G4", [(0, 4), (0, 4), (4, 4)]),
        ("[L:1/8] C2 D2", [(0, 1), (1, 1)]),
    ],
)
def test_lengths(body: str, expected: list[tuple[float, float]]) -> None:
    assert [(start, length) for start, _, length in sounding(body)] == expected


@pytest.mark.parametrize(
    ("body", "letters"),
    [
        ("C4 :| D4", "CCD"),
        ("C4 |: D4 :| E4", "CDDE"),
        ("C4 |1 D4 :|2 E4 | F4", "CDCEF"),
        ("C4 | [1 D4 :| [2 E4 |] F4", "CDCEF"),
        ("|: C4 :: D4 :|", "CCDD"),
        ("C4 | D4 !fine! | E4 !D.C.! |", "CDECD"),
    ],
)
def test_repeats(body: str, letters: str) -> None:
    assert pitches(body) == ["C.D.EF".index(letter) + 60 for letter in letters]


def test_voices_keep_together() -> None:
    song = tune(
        "[V:1] C4 | D4 |\n[V:2] E,4 |\nV:2\nF,4 |",
        head='V:1 name="Top"\n%%MIDI program 73\nV:2 nm=Bass\n%%MIDI channel 10\n',
    )
    assert [(part.name, part.program) for part in song.parts] == [("Top", 73), ("Bass", DRUMS)]
    assert [[(n.start // BEAT, n.pitch) for n in part.notes] for part in song.parts] == [
        [(0, 60), (4, 62)],
        [(0, 52), (4, 53)],
    ]


def test_changes_on_the_way() -> None:
    song = tune(
        '"Am7"C2 "N.C."D2 | [M:6/8] [K:G] F3 [Q:3/8=40] "sing"|', head="Q:1/8=240\nC:Trad.\n"
    )
    assert song.meters == [(0, Meter(4, 4)), (4 * BEAT, Meter(6, 8))]
    assert song.keys == [(0, "C"), (4 * BEAT, "G")]
    assert song.tempos == [(0, 120.0), (7 * BEAT, 60.0)]
    assert song.chords == [(0, Chord(9, "m7")), (2 * BEAT, None)]
    assert (song.title, song.author) == ("Tune", "Trad.")
    assert song.parts[0].notes[-1].pitch == 66


def test_the_unit_follows_the_meter() -> None:
    for meter, length in (("2/4", 240), ("6/8", 480), ("C|", 480)):
        song = perform(read_tune(f"X:1\nM:{meter}\nK:C\nC"))
        assert song.parts[0].notes[0].duration == length


def test_a_tune_book(tmp_path: Path) -> None:
    path = tmp_path / "book.abc"
    path.write_bytes(
        "%abc\n\nX:1\nT:Ä\nK:C\nC\n\nX:2\nT:Empty\nK:C\n\nX:7\nK:C\nE\n".encode("latin-1")
    )
    songs = dict(read_abc(path))
    assert list(songs) == ["-0001", "-0003"]
    assert songs["-0001"].title == "Ä"


REEL = """X:1
T:Speed the Plough
M:4/4
L:1/8
Q:1/4=120
K:G
|:GABc dedB|dedB dedB|c2ec B2dB|c2A2 A2BA|GABc dedB|d>ed<B (3ded B2|c2ec B2dB|A2F2 G4:|
|:g2gf gdBd|^g2f2 =g2d2-|d2ec B2dB|1 c2A2 A2df:|2 A2F2 G4|]
"""


def test_it_is_what_the_usual_program_plays(tmp_path: Path) -> None:
    (tmp_path / "reel.abc").write_text(REEL)
    theirs = symusic.Score.from_file(tmp_path / "reel.abc", fmt="abc").to("quarter")
    ours = sorted(
        (note.start / BEAT, note.pitch) for note in perform(read_tune(REEL)).parts[0].notes
    )
    played = sorted((float(note.time), note.pitch) for t in theirs.tracks for note in t.notes)
    np.testing.assert_allclose(ours, played, atol=0.01)  # their grid is coarser: 480 to the beat


def test_endless_rests_are_refused() -> None:
    with pytest.raises(SidemanError, match="measures"):
        tune("Z9999|Z9999|")


@given(st.text(alphabet="ABCabc[]()|:123/<>-zZ^_=,'\"!{}&~ \n%K", max_size=80))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        tune(text)
    except SidemanError as error:
        assert "\n" not in error.text
