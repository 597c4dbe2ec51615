import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import chords
from engine.chords import ALIASES, QUALITIES, Chord, ChordSpan, parse_chord
from engine.errors import Code, SidemanError
from engine.music import Meter

SEVENTEEN = {
    "": "047",
    "m": "037",
    "7": "047A",
    "m7": "037A",
    "M7": "047B",
    "m7-5": "036A",
    "dim": "0369",
    "sus4": "057",
    "7sus4": "057A",
    "aug": "048",
    "m6": "0379",
    "7(9)": "047A2",
    "m7(9)": "037A2",
    "add9": "0472",
    "6": "0479",
    "mM7": "037B",
    "7-5": "046A",
}
SHARPS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FLATS = ("B#", "Db", "D", "Eb", "Fb", "E#", "Gb", "G", "Ab", "A", "Bb", "Cb")
ROOTS = [*enumerate(SHARPS), *enumerate(FLATS)]
NAMES = [root + quality for _, root in ROOTS for quality in (*QUALITIES, *ALIASES)]


def refused(text: str) -> str:
    with pytest.raises(SidemanError) as caught:
        chords.parse(text)
    assert caught.value.code is Code.BAD_ARGUMENTS
    assert "\n" not in caught.value.text
    return caught.value.text


@pytest.mark.parametrize(("root", "spelling"), ROOTS)
def test_every_quality_on_every_root(root: int, spelling: str) -> None:
    for quality, steps in SEVENTEEN.items():
        chord = parse_chord(spelling + quality)
        assert chord == Chord(root, quality)
        assert chord.pitch_classes == {(root + int(step, 16)) % 12 for step in steps}


@pytest.mark.parametrize(("root", "spelling"), ROOTS)
def test_every_bass(root: int, spelling: str) -> None:
    chord = parse_chord(f"F#m7-5/{spelling}")
    assert chord == Chord(6, "m7-5", root)
    assert chord.pitch_classes == {6, 9, 0, 4, root}


@pytest.mark.parametrize("root", range(12))
@pytest.mark.parametrize("quality", QUALITIES)
def test_a_name_reads_back(root: int, quality: str) -> None:
    for bass in (None, 0, 6, 10):
        chord = Chord(root, quality, bass)
        assert parse_chord(chord.name) == chord


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("Cmaj7", "CM7"),
        ("Amin", "Am"),
        ("B°", "Bdim"),
        ("Bdim7", "Bdim"),
        ("Bø", "Bm7-5"),
        ("E♭m7b5", "Ebm7-5"),
        ("G9", "G7(9)"),
        ("G7b5", "G7-5"),
        ("G+", "Gaug"),
        ("Dsus", "Dsus4"),
    ],
)
def test_aliases(alias: str, name: str) -> None:
    assert parse_chord(alias) == parse_chord(name)


def test_aliases_lead_to_qualities_and_shadow_none() -> None:
    assert set(ALIASES.values()) <= set(QUALITIES)
    assert not set(ALIASES) & set(QUALITIES)


def test_a_chart() -> None:
    assert chords.parse("C:4|Am : 1.5 | F#m7-5/A:8s|auto:480t") == (
        ChordSpan(0, 3840, Chord(0)),
        ChordSpan(3840, 5280, Chord(9, "m")),
        ChordSpan(5280, 7200, Chord(6, "m7-5", 9)),
        ChordSpan(7200, 7680, None),
    )


def test_a_chord_without_a_length_lasts_its_bar() -> None:
    spans = chords.parse("C|Am|F|G", [Meter(4, 4), Meter(3, 4)])
    assert [span.end for span in spans] == [3840, 6720, 9600, 12480]
    assert chords.parse("C:2|Am:2|F") == chords.parse("C:2|Am:2|F:4")
    assert "column 5: 'Am' needs a length" in refused("C:2|Am")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("", 1),
        ("C:4|", 5),
        ("C:4||G:4", 5),
        ("H:4", 1),
        ("c:4", 1),
        ("C:4|Cfoo:4", 6),
        ("C:4|  Gm/X:4", 10),
        ("C:4|G/:4", 7),
        ("C:", 3),
        ("C:x", 3),
        ("C:0", 3),
        ("C:4|G:1/0", 7),
        ("C:-1", 3),
        ("C:nan", 3),
        ("C:1e9", 3),
        ("C:4:4", 3),
        ("C:99999999", 1),
        ("C:0.0001", 1),
    ],
)
def test_errors_name_the_column(text: str, column: int) -> None:
    assert f"column {column}:" in refused(text)


def test_an_unknown_quality_is_told_the_known_ones() -> None:
    text = refused("Cfoo:4")
    assert all(quality in text for quality in SEVENTEEN)


def test_charts_must_fill_the_take() -> None:
    spans = chords.parse("C:4|G:4")
    assert chords.fill(spans, 7680) == spans
    with pytest.raises(SidemanError, match=r"4 beats too short .* lasts 8 beats, and the take 12"):
        chords.fill(spans, 11520)
    with pytest.raises(SidemanError, match=r"1 beat too long"):
        chords.fill(spans, 6720)


LENGTHS = st.one_of(
    st.integers(1, 64).map(lambda n: (str(n), Fraction(n))),
    st.tuples(st.integers(1, 32), st.integers(1, 32)).map(
        lambda nd: (f"{nd[0]}/{nd[1]}", Fraction(*nd))
    ),
    st.integers(1, 999).map(lambda n: (f"{n / 100}", Fraction(n, 100))),
    st.integers(1, 64).map(lambda n: (f"{n}s", Fraction(n, 4))),
    st.integers(1, 9600).map(lambda n: (f"{n}t", Fraction(n, 960))),
)


@given(st.lists(st.tuples(st.sampled_from([*NAMES, "auto"]), LENGTHS), min_size=1, max_size=20))
def test_lengths_sum_exactly(items: list[tuple[str, tuple[str, Fraction]]]) -> None:
    spans = chords.parse("|".join(f"{name}:{text}" for name, (text, _) in items))
    assert spans[0].start == 0
    assert all(a.end == b.start for a, b in itertools.pairwise(spans))
    total = sum((length for _, (_, length) in items), Fraction(0))
    assert spans[-1].end == round(total * 960)
    assert [span.chord is None for span in spans] == [name == "auto" for name, _ in items]


@given(st.one_of(st.text(), st.text("ABCGm7#b-/:|. 0123st()ø°", max_size=40)))
def test_garbage_is_refused_or_read(text: str) -> None:
    try:
        spans = chords.parse(text)
    except SidemanError as error:
        assert error.code is Code.BAD_ARGUMENTS
    else:
        assert all(span.start < span.end for span in spans)
