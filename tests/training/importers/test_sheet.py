"""How scores are played: the order of their measures, their ties and their bar lines."""

from __future__ import annotations

from fractions import Fraction

import pytest

from engine.errors import SidemanError
from engine.music import Meter
from training.importers.sheet import (
    MAX_PLAYED,
    Measure,
    Note,
    Sheet,
    perform,
    play_order,
    spread_endings,
)
from training.importers.song import Note as Sounding

BEAT = 960


def marks(signs: str) -> list[Measure]:
    """Measures by signs: ``|:`` ``:|`` ``1.`` ``DC`` and so on, a space between measures."""
    measures = []
    for text in signs.split():
        measure = Measure()
        for sign in text.split(","):
            match sign:
                case "|:":
                    measure.forward = True
                case ":|":
                    measure.times = 2
                case ":|3":
                    measure.times = 3
                case "]":
                    measure.ending_stops = True
                case "DC" | "DS":
                    measure.jump = {"DC": "capo", "DS": "segno"}[sign]
                case "S" | "Coda" | "To" | "Fine" | "New":
                    names = {"S": "segno", "To": "to_coda", "New": "movement"}
                    setattr(measure, names.get(sign, sign.lower()), True)
                case "-":
                    pass
                case _:
                    measure.endings = frozenset(map(int, sign.split("+")))
        measures.append(measure)
    spread_endings(measures)
    return measures


@pytest.mark.parametrize(
    ("signs", "order"),
    [
        ("- - -", "012"),
        ("- :| -", "01012"),
        ("- |: :| -", "012123"),
        ("|: :|3 -", "0101012"),
        ("- 1,:| 2 -", "01023"),
        ("- 1 :| 2,] - :|", "01203" + "45" + "45"),
        ("- 1,] :| 2,] -", "012034"),
        ("- 1,:| 2,] |: :|", "01023434"),
        ("- 1+3,:| 2,:| -", "0102013"),
        ("- - DC -", "012" + "0123"),
        ("- Fine DC", "01201"),
        ("- S - DS -", "0123" + "1234"),
        ("- To - DC Coda -", "0123" + "01" + "45"),
        ("|: Fine,:| DC", "01012" + "01"),
        ("|: 1,:| 2,Fine - DC", "010234" + "02"),
        ("- :| New Fine DC New -", "0101" + "23423" + "56"),
    ],
)
def test_the_order_of_measures(signs: str, order: str) -> None:
    assert play_order(marks(signs)) == list(map(int, order))


def test_scores_that_never_end_are_refused() -> None:
    with pytest.raises(SidemanError, match="measures when played"):
        play_order([Measure(times=8) for _ in range(MAX_PLAYED // 8 + 1)])


def note(at: object, length: object, **more: bool) -> Note:
    return Note(Fraction(at), Fraction(length), 60, 80, 0, **more)  # type: ignore[arg-type]


def measure(length: int, *notes: Note, **more: object) -> Measure:
    return Measure(Fraction(length), list(notes), **more)  # type: ignore[arg-type]


def starts(sheet: Sheet) -> list[tuple[int, int]]:
    return [(n.start, n.duration) for n in perform(sheet).parts[0].notes]


def test_ties_join_notes_over_bar_lines_and_no_others() -> None:
    first = measure(4, note(0, 1), note(2, 2, tied_to=True))
    second = measure(4, note(0, 4, tied_from=True, tied_to=True))
    third = measure(4, note(0, 1, tied_from=True), note(1, 1, tied_from=True))
    assert starts(Sheet([("", 0)], [first, second, third])) == [
        (0, BEAT),
        (2 * BEAT, 7 * BEAT),
        (9 * BEAT, BEAT),
    ]


def test_tuplets_fall_on_ticks() -> None:
    triplet = [note(Fraction(i, 3), Fraction(1, 3)) for i in range(3)]
    assert starts(Sheet([("", 0)], [measure(4, *triplet)])) == [(0, 320), (320, 320), (640, 320)]


def test_a_pickup_ends_on_a_bar_line() -> None:
    sheet = Sheet([("", 0)], [measure(1, note(0, 1)), measure(4, note(0, 4)), measure(3)])
    song = perform(sheet)
    assert song.parts[0].notes[0] == Sounding(3 * BEAT, BEAT, 60, 80)
    assert song.parts[0].notes[1].start == 4 * BEAT
    assert song.meters == [(0, Meter(4, 4))]


def test_measures_that_share_a_bar_change_no_meter() -> None:
    split = [measure(4), measure(3, times=2), measure(1, forward=True), measure(4), measure(4)]
    assert perform(Sheet([("", 0)], split)).meters == [
        (0, Meter(4, 4)),
        (4 * BEAT, Meter(3, 4)),
        (7 * BEAT, Meter(4, 4)),
    ]
    whole = [measure(4), measure(3), measure(1), measure(4)]
    assert perform(Sheet([("", 0)], whole)).meters == [(0, Meter(4, 4))]


def test_a_bar_that_is_too_long_has_a_meter_of_its_own() -> None:
    bars = [measure(4), Measure(Fraction(11, 2)), measure(4), measure(4)]
    assert perform(Sheet([("", 0)], bars)).meters == [
        (0, Meter(4, 4)),
        (4 * BEAT, Meter(11, 8)),
        (4 * BEAT + 11 * BEAT // 2, Meter(4, 4)),
    ]


def test_changes_come_back_with_a_repeat() -> None:
    slow = measure(4, tempos=[(Fraction(0), 60.0)], key="C", forward=True)
    fast = measure(4, tempos=[(Fraction(2), 90.0)], key="G", times=2)
    song = perform(Sheet([("", 0)], [slow, fast]))
    assert song.tempos == [(0, 60.0), (6 * BEAT, 90.0), (8 * BEAT, 60.0), (14 * BEAT, 90.0)]
    assert song.keys == [(0, "C"), (4 * BEAT, "G"), (8 * BEAT, "C"), (12 * BEAT, "G")]
