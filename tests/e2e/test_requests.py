"""Asking for music: every verb and every key, on our phrase and on a piece that no model has heard.

What holds for every take (order of replies, order of onsets, notes inside its bars, the count)
is held by the client, for every request of every test.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.music import DRUMS
from tests.e2e.client import Client, ClipNote
from tests.e2e.engine import Engine
from tests.e2e.music import Music, excerpt, held_out, own_phrase, play

C_MINOR = {0, 2, 3, 5, 7, 8, 10}
CHORDS = {"C": {0, 4, 7}, "Am": {9, 0, 4}, "F7": {5, 9, 0, 3}, "Bbm": {10, 1, 5}}


@pytest.fixture(scope="module", params=["own phrase", "held-out piece"])
def music(request: pytest.FixtureRequest, engine: Engine) -> Music:
    """Sixteen bars on four tracks that the engine has heard."""
    found: Music | None = own_phrase()
    if request.param == "held-out piece":
        data: Path = request.getfixturevalue("music_data")
        pieces = (excerpt(path, 16, 16) for path in held_out(data))
        found = next((m for m in pieces if m and any(p.program != DRUMS for p in m.parts)), None)
        if found is None:
            pytest.skip("needs the project's music data: no piece with four tracks in 4/4")
    assert found is not None
    with Client(engine) as client:
        play(client, found)
    return found


@pytest.fixture
def lead(music: Music) -> int:
    """The number of a track that is no drum kit."""
    return music.part(drums=False).number


def pitches(notes: Sequence[ClipNote]) -> set[int]:
    return {note.pitch for note in notes}


def classes(notes: Sequence[ClipNote]) -> set[int]:
    return {note.pitch % 12 for note in notes}


def test_next_is_the_bar_line_after_the_song_also_while_it_stands(
    client: Client, music: Music, lead: int
) -> None:
    answer = client.request("continue", lead, bars=1)
    assert answer.bar == answer.clip.bar == music.bars
    assert answer.clip.bars == 1 and answer.notes and answer.lates == []
    client.stand(music.bars - 1, 2.5, bpm=music.bpm)
    assert client.request("continue", lead, at="next", bars=1).bar == music.bars
    client.stand(music.bars, bpm=music.bpm)
    assert client.request("continue", lead, at="next", bars=1).bar == music.bars + 1
    client.stand(music.bars - 1, bpm=music.bpm)


def test_a_request_says_its_track_by_name_or_in_the_path(
    client: Client, music: Music, lead: int
) -> None:
    part = music.parts[lead - 1]
    by_name = client.request("continue", part.name, bars=1, seed=4)
    by_path = client.request(f"track/{lead}/continue", None, bars=1.0, seed=4.0)
    assert by_name.notes == by_path.notes
    assert by_name.clip.track == by_path.clip.track == part.name


@pytest.mark.parametrize("bars", [1, 2, 3])
def test_bars(client: Client, music: Music, lead: int, bars: int) -> None:
    answer = client.request("continue", lead, bars=bars, seed=1)
    assert answer.clip.bars == bars
    assert max(note.bar for note in answer.notes) == music.bars + bars - 1


def test_four_bars_where_nothing_is_said(client: Client, music: Music, lead: int) -> None:
    assert client.request("continue", lead, seed=1).clip.bars == 4


def test_at_a_bar_number(client: Client, music: Music, lead: int) -> None:
    answer = client.request("continue", lead, at=music.bars + 2, bars=1)
    assert answer.bar == answer.clip.bar == music.bars + 2


def test_at_now_is_the_next_sixteenth(client: Client, music: Music, lead: int) -> None:
    client.stand(music.bars - 1, 1.3, bpm=music.bpm)
    answer = client.request("continue", lead, at="now", bars=2, seed=3)
    client.stand(music.bars - 1, bpm=music.bpm)
    assert answer.bar == answer.clip.bar == music.bars - 1
    assert answer.clip.bars == 2
    first = answer.notes[0]
    assert (first.bar, first.beat) >= (music.bars - 1, 1.5)


def test_the_same_seed_twice_and_another(client: Client, music: Music, lead: int) -> None:
    keys = {"bars": 2, "at": music.bars}
    first, again, other = (
        client.request("continue", lead, seed=seed, **keys) for seed in (7, 7, 8)
    )
    assert first.notes == again.notes
    assert first.notes != other.notes


def test_without_a_seed_takes_differ_and_the_seed_is_in_the_file(
    engine: Engine, client: Client, music: Music, lead: int
) -> None:
    first, second = (client.request("continue", lead, bars=1) for _ in range(2))
    assert first.notes != second.notes
    file = engine.session / f"take-{first.clip.take:04d}.json"
    seed = json.loads(file.read_text())["seed"]
    again = client.request("continue", lead, bars=1, seed=seed)
    assert again.notes == first.notes


def test_variations_are_takes_of_their_own(client: Client, music: Music, lead: int) -> None:
    answer = client.request("continue", lead, bars=1, variations=3, seed=1)
    assert len({clip.take for clip in answer.clips}) == 3
    assert len({tuple(clip.notes) for clip in answer.clips}) == 3
    alone = client.request("continue", lead, bars=1, variations=1, seed=1)
    assert alone.notes == answer.clips[0].notes


def test_temperature_0_is_the_likeliest_whatever_the_seed(
    client: Client, music: Music, lead: int
) -> None:
    first, second = (
        client.request("continue", lead, bars=1, temperature=0, seed=seed) for seed in (1, 2)
    )
    assert first.notes == second.notes
    hot = client.request("continue", lead, bars=1, temperature=2.0, seed=1)
    assert hot.notes != first.notes


def test_a_small_top_p_is_the_likeliest_too(client: Client, music: Music, lead: int) -> None:
    narrow = client.request("continue", lead, bars=1, top_p=0.0001, seed=1)
    assert client.request("continue", lead, bars=1, top_p=0.0001, seed=2).notes == narrow.notes
    assert client.request("continue", lead, bars=1, top_p=1.0, seed=3).notes != narrow.notes


@pytest.mark.parametrize(
    ("key", "scale"), [("Cmin", C_MINOR), ("F#maj", {6, 8, 10, 11, 1, 3, 5})]
)
def test_key(client: Client, music: Music, lead: int, key: str, scale: set[int]) -> None:
    answer = client.request("continue", lead, bars=2, key=key, temperature=1.3, seed=1)
    assert answer.notes and classes(answer.notes) <= scale


def test_low_and_high(client: Client, music: Music, lead: int) -> None:
    answer = client.request("continue", lead, bars=2, low=60, high=67, seed=1)
    assert answer.notes and pitches(answer.notes) <= set(range(60, 68))
    one = client.request("continue", lead, bars=1, low=61, high=61, seed=1)
    assert pitches(one.notes) == {61}


@pytest.mark.parametrize("chart", ["C:4|Am:4", "F7:2|Bbm:2|C:4"])
def test_chords(client: Client, music: Music, lead: int, chart: str) -> None:
    tones: list[set[int]] = []  # of each of the eight beats
    for chord in chart.split("|"):
        name, _, beats = chord.partition(":")
        tones += [CHORDS[name]] * int(beats)
    inside = total = 0
    for seed in range(3):
        answer = client.request("continue", lead, bars=2, chords=chart, seed=seed)
        for note in answer.notes:
            beat = (note.bar - answer.clip.bar) * 4 + int(note.beat)
            inside += note.pitch % 12 in tones[beat]
            total += 1
    assert total and inside / total >= 0.8


def test_chords_in_band_out(client: Client, music: Music, lead: int) -> None:
    chart = "C:4|Cm:2|C7:2|Cdim:4"
    answer = client.request("continue", lead, chords=chart, preset="band", seed=1)
    assert answer.clip.bars == 3
    assert {note.channel for note in answer.notes} == {1, 2, 3, 4, 10}


def test_chords_and_key_and_range_together(client: Client, music: Music, lead: int) -> None:
    answer = client.request(
        "continue", lead, bars=1, chords="Cm:4", key="Cmin", low=48, high=72, seed=1
    )
    tones = [note for note in answer.notes if note.pitch % 12 in {0, 3, 7}]
    assert classes(answer.notes) <= C_MINOR and pitches(answer.notes) <= set(range(48, 73))
    assert len(tones) >= 0.6 * len(answer.notes) > 0


@pytest.mark.parametrize("density", [0.5, 2.0, 4.0])
def test_density_is_notes_per_beat(
    client: Client, music: Music, lead: int, density: float
) -> None:
    answer = client.request("continue", lead, bars=2, density=density, seed=1)
    # Within a quarter; what that leaves of a note is rounded, bar by bar.
    assert len(answer.notes) / 2 == pytest.approx(density * 4, rel=0.25, abs=1.0)


def test_program(client: Client, music: Music, lead: int) -> None:
    # Electric bass; a drum kit would be another program's business.
    answer = client.request("continue", lead, bars=1, program=33, seed=1)
    assert answer.notes and 10 not in {note.channel for note in answer.notes}


@pytest.mark.parametrize(
    ("preset", "holds"),
    [
        ("piano", lambda notes: pitches(notes) <= set(range(21, 109))),
        ("drums", lambda notes: {n.channel for n in notes} == {10}),
        ("bass", lambda notes: pitches(notes) <= set(range(23, 68))),
        ("strings", lambda notes: pitches(notes) <= set(range(36, 97))),
        ("chords", lambda notes: pitches(notes) <= set(range(40, 85))),
        ("answer", lambda notes: bool(notes)),
        ("band", lambda notes: {n.channel for n in notes} == {1, 2, 3, 4, 10}),
        ("trio", lambda notes: {n.channel for n in notes} <= {1, 2, 10}),
    ],
)
def test_preset(client: Client, music: Music, lead: int, preset: str, holds) -> None:
    answer = client.request("continue", lead, bars=1, preset=preset, seed=2)
    assert answer.notes and holds(answer.notes)


def test_deliver_osc_is_how_it_comes_anyhow(client: Client, music: Music, lead: int) -> None:
    said = client.request("continue", lead, bars=1, deliver="osc", seed=1)
    assert client.request("continue", lead, bars=1, seed=1).notes == said.notes


def test_keys_come_in_any_order(client: Client, music: Music, lead: int) -> None:
    keys = {"key": "Cmin", "bars": 1, "seed": 3, "low": 40, "temperature": 0.9, "late": "move"}
    first = client.request("continue", lead, **keys)
    second = client.request("continue", lead, **dict(reversed(keys.items())))
    assert first.notes == second.notes


def test_variation_is_the_last_bars_again_otherwise(
    client: Client, music: Music, lead: int
) -> None:
    take = client.request("continue", lead, bars=2, seed=1)
    answer = client.request("variation", lead, bars=2, seed=2)
    assert (answer.clip.bar, answer.clip.bars) == (take.clip.bar, take.clip.bars)
    assert answer.notes != take.notes and answer.clip.take != take.clip.take


def test_variation_of_what_was_played_goes_to_the_bar_that_is_named(
    client: Client, music: Music, lead: int
) -> None:
    answer = client.request("variation", lead, bars=2, at=music.bars + 1, seed=2)
    assert (answer.clip.bar, answer.clip.bars) == (music.bars + 1, 2)
    assert answer.notes


def test_infill_lies_between_from_and_to(client: Client, music: Music, lead: int) -> None:
    answer = client.request("infill", lead, from_=music.bars - 4, to=music.bars - 2, seed=1)
    assert (answer.clip.bar, answer.clip.bars) == (music.bars - 4, 2)
    assert answer.notes and answer.lates == []


def test_accompany_writes_another_instrument_to_the_others(
    client: Client, music: Music, lead: int
) -> None:
    answer = client.request("accompany", 7, preset="strings", bars=2, at=music.bars - 2, seed=1)
    assert (answer.clip.bar, answer.clip.bars, answer.clip.track) == (music.bars - 2, 2, "7")
    assert answer.notes and {note.channel for note in answer.notes} != {10}


def test_a_drum_track_goes_on_with_drums(client: Client, music: Music) -> None:
    if not any(part.program == DRUMS for part in music.parts):
        pytest.skip("this piece has no drums among its four tracks")
    answer = client.request("continue", music.part(drums=True).number, bars=2, seed=1)
    assert answer.notes and {note.channel for note in answer.notes} == {10}


def test_a_request_that_is_sent_again_is_the_same_request(
    client: Client, music: Music, lead: int
) -> None:
    answer = client.start("continue", lead, bars=8, seed=1)
    for _ in range(5):
        client.send("/sideman/continue", answer.req, lead, "bars", 8, "seed", 1)
    client.sync()
    # Accepted may come again, since it may have been lost; there is one take, and one end.
    repeated = [m for m in client.inbox if m.address == "/sideman/accepted"][1:]
    client.inbox = [m for m in client.inbox if m not in repeated]
    assert len(client.finish(answer).clips) == 1
    assert client.news() == []


def test_accepted_comes_within_50_ms(client: Client, music: Music, lead: int) -> None:
    times = [client.request("continue", lead, bars=1).accepted_ms for _ in range(9)]
    assert statistics.median(times) <= 50.0


def test_requests_on_four_tracks_at_once(client: Client, music: Music) -> None:
    answers = [client.start("continue", part.number, bars=1) for part in music.parts]
    takes = [client.finish(answer).clip for answer in answers]
    assert [take.track for take in takes] == [part.name for part in music.parts]


def test_by_tcp_as_well(engine: Engine, client: Client, music: Music, lead: int) -> None:
    with Client(engine, tcp=True) as by_tcp:
        there = by_tcp.request("continue", lead, bars=2, seed=9, at=music.bars)
        by_tcp.ask("/sideman/discard", there.clip.take)
    here = client.request("continue", lead, bars=2, seed=9, at=music.bars)
    assert here.notes == there.notes
