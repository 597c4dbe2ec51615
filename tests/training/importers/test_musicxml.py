"""MusicXML: what sounds, and what is refused. Scores are written here, a few elements at a time."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from engine.chords import Chord
from engine.errors import Code, SidemanError
from engine.music import DRUMS, Meter
from training.importers.musicxml import read_musicxml
from training.importers.song import Song, write_midi

BEAT = 960
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
DOCTYPE = (
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">'
)
FOUR = (
    "<attributes><divisions>2</divisions><key><fifths>0</fifths></key>"
    "<time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
)


def note(pitch: str, duration: int, inside: str = "", before: str = "") -> str:
    step, octave = pitch[0], pitch[-1]
    alter = {"#": "<alter>1</alter>", "b": "<alter>-1</alter>"}.get(pitch[1], "")
    return (
        f"<note>{before}<pitch><step>{step}</step>{alter}<octave>{octave}</octave></pitch>"
        f"<duration>{duration}</duration>{inside}</note>"
    )


def rest(duration: int) -> str:
    return f"<note><rest/><duration>{duration}</duration></note>"


def score(*measures: str, part: str = "", head: str = "") -> str:
    body = "".join(f'<measure number="{i}">{m}</measure>' for i, m in enumerate(measures, 1))
    return (
        f"{HEAD}{DOCTYPE}<score-partwise>{head}<part-list>"
        f'<score-part id="P1"><part-name>Piano</part-name>{part}</score-part></part-list>'
        f'<part id="P1">{body}</part></score-partwise>'
    )


def read(tmp_path: Path, text: str) -> Song:
    path = tmp_path / "score.musicxml"
    path.write_text(text, encoding="utf-8")
    ((suffix, song),) = read_musicxml(path)
    assert suffix == ""
    return song


def sounding(song: Song, part: int = 0) -> list[tuple[float, int, float]]:
    return [(n.start / BEAT, n.pitch, n.duration / BEAT) for n in song.parts[part].notes]


def test_notes_chords_voices_and_rests(tmp_path: Path) -> None:
    voices = (
        note("C4", 2) + note("E4", 2, before="<chord/>") + rest(2) + note("F#4", 4)
        + "<backup><duration>8</duration></backup><forward><duration>2</duration></forward>"
        + note("Bb2", 6)
    )  # fmt: skip
    song = read(tmp_path, score(FOUR + voices))
    assert sorted(sounding(song)) == [(0, 60, 1), (0, 64, 1), (1, 46, 3), (2, 66, 2)]


def test_ties_make_one_note(tmp_path: Path) -> None:
    song = read(
        tmp_path,
        score(FOUR + note("C4", 8, '<tie type="start"/>'), note("C4", 8, '<tie type="stop"/>')),
    )
    assert sounding(song) == [(0, 60, 8)]


def test_grace_and_cue_notes_are_silent(tmp_path: Path) -> None:
    grace = "<note><grace/><pitch><step>D</step><octave>4</octave></pitch></note>"
    song = read(tmp_path, score(FOUR + grace + note("E4", 4, before="<cue/>") + note("C4", 4)))
    assert sounding(song) == [(2, 60, 2)]


@pytest.mark.parametrize(
    ("transpose", "pitch", "key"),
    [
        ("<chromatic>-2</chromatic>", 58, "Bb"),
        ("<chromatic>-9</chromatic>", 51, "Eb"),
        ("<chromatic>2</chromatic><octave-change>-1</octave-change>", 50, "D"),
        ("<chromatic>0</chromatic><octave-change>-1</octave-change>", 48, "C"),
        ("<chromatic>0</chromatic><double/>", 48, "C"),
    ],
)
def test_transposing_instruments_sound(
    tmp_path: Path, transpose: str, pitch: int, key: str
) -> None:
    attributes = FOUR.replace("</attributes>", f"<transpose>{transpose}</transpose></attributes>")
    song = read(tmp_path, score(attributes + note("C4", 8)))
    assert sounding(song) == [(0, pitch, 4)]
    assert song.keys == [(0, key)]


def test_drums_by_their_map(tmp_path: Path) -> None:
    part = (
        '<score-instrument id="K"><instrument-name>Kick</instrument-name></score-instrument>'
        '<midi-instrument id="K"><midi-channel>10</midi-channel>'
        "<midi-unpitched>37</midi-unpitched></midi-instrument>"
    )
    hit = (
        "<note><unpitched><display-step>F</display-step><display-octave>4</display-octave>"
        '</unpitched><duration>8</duration><instrument id="K"/></note>'
    )
    song = read(tmp_path, score(FOUR + hit, part=part))
    assert [(p.name, p.program) for p in song.parts] == [("Piano", DRUMS)]
    assert sounding(song) == [(0, 36, 4)]


def test_one_part_with_two_sounds(tmp_path: Path) -> None:
    part = "".join(
        f'<midi-instrument id="{name}"><midi-program>{program}</midi-program></midi-instrument>'
        for name, program in (("arco", 41), ("pizz", 46))
    )
    measure = note("C4", 4, '<instrument id="arco"/>') + note("D4", 4, '<instrument id="pizz"/>')
    song = read(tmp_path, score(FOUR + measure, part=part))
    assert [(p.program, len(p.notes)) for p in song.parts] == [(40, 1), (45, 1)]


def test_loudness_by_staff_and_time(tmp_path: Path) -> None:
    loud = "<direction><direction-type><dynamics><ff/></dynamics></direction-type></direction>"
    soft = (
        '<direction><direction-type><words>x</words></direction-type><sound dynamics="50"/>'
        "<staff>2</staff></direction>"
    )
    measure = note("C4", 4, "<staff>1</staff>") + loud + note("D4", 4, "<staff>1</staff>")
    back = "<backup><duration>8</duration></backup>"
    low = note("C3", 4, "<staff>2</staff>") + soft + note("D3", 4, "<staff>2</staff>")
    song = read(tmp_path, score(FOUR + measure + back + low, note("E4", 8, "<staff>1</staff>")))
    assert [n.velocity for n in song.parts[0].notes] == [80, 80, 112, 45, 112]


def test_tempo_and_chord_symbols(tmp_path: Path) -> None:
    tempo = (
        "<direction><direction-type><metronome><beat-unit>quarter</beat-unit><beat-unit-dot/>"
        "<per-minute>60</per-minute></metronome></direction-type></direction>"
    )
    chords = (
        "<harmony><root><root-step>B</root-step><root-alter>-1</root-alter></root>"
        "<kind>dominant</kind><bass><bass-step>D</bass-step></bass>"
        "<degree><degree-value>5</degree-value><degree-alter>-1</degree-alter>"
        "<degree-type>alter</degree-type></degree></harmony>"
        + note("C4", 4)
        + "<harmony><root><root-step>C</root-step></root><kind>none</kind></harmony>"
        + "<harmony><root><root-step>C</root-step></root><kind>other</kind></harmony>"
    )
    song = read(tmp_path, score(FOUR + tempo + chords + note("C4", 4)))
    assert song.tempos == [(0, 90.0)]
    assert song.chords == [(0, Chord(10, "7-5", 2)), (2 * BEAT, None)]


def test_repeats_and_endings_are_played(tmp_path: Path) -> None:
    def ending(number: str, kind: str, repeat: str = "") -> str:
        return f'<barline><ending number="{number}" type="{kind}"/>{repeat}</barline>'

    back = '<repeat direction="backward"/>'
    song = read(
        tmp_path,
        score(
            FOUR + note("C4", 8),
            ending("1", "start") + note("D4", 8) + ending("1", "stop", back),
            ending("2", "start") + note("E4", 8) + ending("2", "discontinue"),
            '<sound dacapo="yes"/>' + note("F4", 8),
        ),
    )
    assert [pitch for _, pitch, _ in sounding(song)] == [60, 62, 60, 64, 65, 60, 64, 65]


def test_a_movement_keeps_its_da_capo(tmp_path: Path) -> None:
    text = score(
        FOUR + note("C4", 8), note("D4", 8), note("E4", 8), '<sound dacapo="yes"/>' + note("F4", 8)
    )
    text = text.replace('number="3"', 'number="1"').replace('number="4"', 'number="2"')
    pitches = [pitch for _, pitch, _ in sounding(read(tmp_path, text))]
    assert pitches == [60, 62, 64, 65, 64, 65]


def test_words_about_the_score(tmp_path: Path) -> None:
    head = (
        "<work><work-title>Das\n Veilchen</work-title></work><identification>"
        '<creator type="composer">W. A.</creator><rights>CC0</rights></identification>'
    )
    song = read(tmp_path, score(FOUR + note("C4", 8), head=head))
    assert (song.title, song.author, song.rights) == ("Das Veilchen", "W. A.", "CC0")
    assert song.meters == [(0, Meter(4, 4))]


def test_timewise_scores(tmp_path: Path) -> None:
    text = (
        f'{HEAD}<score-timewise><part-list><score-part id="A"/><score-part id="B"/></part-list>'
        f'<measure number="1"><part id="A">{FOUR}{note("C4", 8)}</part>'
        f'<part id="B">{FOUR}{note("C3", 8)}</part></measure></score-timewise>'
    )
    song = read(tmp_path, text)
    assert [[n.pitch for n in part.notes] for part in song.parts] == [[60], [48]]


CONTAINER = '<container><rootfiles><rootfile full-path="{}"/></rootfiles></container>'


@pytest.mark.parametrize("container", [CONTAINER.format("s.xml"), "<container full='it's'/>", ""])
def test_compressed_scores(tmp_path: Path, container: str) -> None:
    with zipfile.ZipFile(tmp_path / "score.mxl", "w", zipfile.ZIP_DEFLATED) as archive:
        if container:
            archive.writestr("META-INF/container.xml", container)
        archive.writestr("s.xml", score(FOUR + note("C4", 8)))
    ((_, song),) = read_musicxml(tmp_path / "score.mxl")
    assert song.notes == 1


def refused(path: Path) -> str:
    with pytest.raises(SidemanError) as caught:
        for _, song in read_musicxml(path):
            write_midi(song, path.with_suffix(".mid"))
    assert caught.value.code is Code.BAD_FILE
    assert "\n" not in caught.value.text
    return caught.value.text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<score-partwise>", "no sound XML"),
        ("<html/>", "no score"),
        ("<score-partwise/>", "no notes"),
        (score(FOUR + note("C4", 8)).replace("<octave>4", "<octave>" + "4" * 30), "no number"),
        (score("<attributes><divisions>x</divisions></attributes>"), "no sound MusicXML"),
        ("<a>" * 100, "inside each other"),
        (score().replace("UTF-8", "utf-99"), "cannot be decoded"),
    ],
)
def test_what_is_no_score(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "score.xml"
    path.write_text(text)
    assert says in refused(path)


@pytest.mark.parametrize(
    "entity", ['SYSTEM "file:///etc/hostname"', '"boom"', 'SYSTEM "http://localhost:9/x"']
)
def test_entities_are_refused_unread(tmp_path: Path, entity: str) -> None:
    path = tmp_path / "score.xml"
    path.write_text(
        f"{HEAD}<!DOCTYPE score-partwise [<!ENTITY x {entity}>]>"
        "<score-partwise>&x;</score-partwise>"
    )
    assert "entity 'x'" in refused(path)


def test_zip_bombs_are_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.mxl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", CONTAINER.format("s.xml"))
        with archive.open("s.xml", "w", force_zip64=True) as file:
            for _ in range(80):
                file.write(bytes(1 << 20))
    assert "more than 64 MiB" in refused(tmp_path / "bomb.mxl")


def test_names_in_a_container_do_not_leave_the_zip(tmp_path: Path) -> None:
    (tmp_path / "outside.xml").write_text(score(FOUR + note("C4", 8)))
    with zipfile.ZipFile(tmp_path / "score.mxl", "w") as archive:
        archive.writestr("META-INF/container.xml", CONTAINER.format("../outside.xml"))
    assert "lacks '../outside.xml'" in refused(tmp_path / "score.mxl")


DATA = Path(os.environ.get("SIDEMAN_DATA", Path(__file__).parents[4] / "shared" / "data"))


@pytest.mark.parametrize(
    ("folder", "chords"), [("lieder", False), ("quartets", False), ("openewld", True)]
)
def test_real_scores(tmp_path: Path, folder: str, chords: bool) -> None:
    files = sorted((DATA / "scores" / folder).glob("*.mxl"), key=lambda path: path.stat().st_size)
    if not files:
        pytest.skip("needs the project's music data")
    for path in files[5:7]:
        ((_, song),) = read_musicxml(path)
        write_midi(song, tmp_path / f"{path.stem}.mid")
        assert song.notes > 20, path.name
        assert bool(song.chords) or not chords, path.name
