"""What is said of sound files, in every way that somebody has said it."""

import csv
import gzip
import io
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SidemanError
from training.sound.sources import Wishes, find, fma, sidecars
from training.sound.sources.licences import allowed, short
from training.sound.sources.said import Said, labelled, listed, said, tidy
from training.sound.sources.tables import Table, rows

WORDS = st.text(st.characters(codec="utf-8"), min_size=1).map(tidy).filter(bool)
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"))


def sounds(folder, *names):
    """Files that are called sound; what is in them is not looked at here."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"RIFF")
    return folder


def by_name(found):
    return {item.name: item.said for item in found.items}


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[pop, experimental pop]", ("pop", "experimental pop")),
        ("pop, rock,pop", ("pop", "rock")),
        ("['a', 'b']", ("a", "b")),
        (["House", "Deep  House"], ("House", "Deep House")),
        ("[]", ()),
        (None, ()),
        (7, ("7",)),
    ],
)
def test_lists_come_in_many_forms(value, words):
    assert listed(value) == words


def test_a_row_is_understood_by_the_names_of_its_columns():
    row = {"License": "CC0", "caption": " a  dub ", "Keywords": "deep, slow", "bpm": 92.0}
    known = said(row)
    assert known == Said(prompt="a dub", licence="CC0", tags=("deep", "slow"), bpm="92")
    assert said({"mine": "x", "prompt": "y"}, "mine").prompt == "x"


def test_what_is_nearer_counts_more():
    near, far = Said(prompt="near"), Said(prompt="far", licence="CC0")
    assert near | far == Said(prompt="near", licence="CC0")


@given(WORDS, WORDS, st.lists(st.text(string.ascii_letters, min_size=1), unique=True))
def test_muxit_texts_are_read_as_they_were_written(title, description, genres):
    text = f"track_title: {title}\ndescription: {description}\ngenre: [{', '.join(genres)}]\n"
    known = labelled(text)
    assert (known.title, known.description) == (tidy(title), tidy(description))
    assert [each.lower() for each in known.genres] == [
        each.lower() for each in listed(f"[{', '.join(genres)}]")
    ]


def test_a_label_knows_better_than_its_column():
    """MuXiT's table took a text's first line as the title and its last as the genre, labels and
    all; where a description had line breaks, cells slipped."""
    slipped = {
        "track_id": "7",
        "track_title": "track_title: Luc",
        "description": "description: A tape.",
        "genre": "genre: [pop, rock]",
    }
    assert said(slipped) == Said(title="Luc", description="A tape.", genres=("pop", "rock"))
    swapped = {"track_title": "genre: [dub]", "description": "", "genre": "track_title: Luc"}
    assert said(swapped) == Said(title="Luc", genres=("dub",))


@given(st.text())
def test_any_text_is_labelled_or_is_not(text):
    known = labelled(text)
    assert known is None or isinstance(known, Said)


# --- tables --------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8),
    st.sampled_from(",;\t"),
)
def test_cells_of_any_text_come_back_from_csv(tmp_path_factory, cells, delimiter):
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerows([("path", "prompt"), *cells])
    path.write_text(file.getvalue(), encoding="utf-8", newline="")
    assert [(row["path"], row["prompt"]) for row in rows(path)] == cells


@given(st.binary(max_size=200), st.sampled_from([".csv", ".json", ".jsonl", ".jsonl.gz"]))
def test_any_bytes_are_a_table_or_one_clear_line(tmp_path_factory, data, suffix):
    path = tmp_path_factory.mktemp("any") / f"table{suffix}"
    path.write_bytes(data)
    try:
        found = rows(path)
    except SidemanError as error:
        assert str(path) in error.text and "\n" not in error.text
    else:
        assert all(isinstance(row, dict) for row in found)


def test_muxit_tracks_are_found_by_their_numbers(tmp_path):
    folder = sounds(tmp_path / "audio", "000/002099.mp3", "005/005082.mp3", "005/005083.mp3")
    table = [
        {"track_id": "2099", "track_title": "Luc", "description": "", "genre": "pop, dub"},
        {"track_id": "5082", "track_title": "Odessa", "description": "Dark.", "genre": ""},
    ]
    (tmp_path / "tracks.json").write_text(json.dumps(table))
    found = find(folder, Wishes(table=tmp_path / "tracks.json"))
    assert by_name(found) == {
        "000/002099.mp3": Said(title="Luc", genres=("pop", "dub")),
        "005/005082.mp3": Said(title="Odessa", description="Dark."),
    }
    assert found.skipped == [{"path": "005/005083.mp3", "reason": "is not in tracks.json"}]


def test_a_muxit_csv_in_the_folder_is_about_the_folder(tmp_path):
    folder = sounds(tmp_path, "2099.wav")
    (folder / "NewTracks.csv").write_text(
        'track_id,track_title,description,genre\n2099,track_title: Luc,"One,\ntwo",genre: [pop]\n'
    )
    found = find(folder, Wishes())
    assert found.table == "NewTracks.csv"
    expected = Said(title="Luc", description="One, two", genres=("pop",))
    assert by_name(found) == {"2099.wav": expected}


@pytest.mark.parametrize("packed", [False, True])
def test_audiocraft_s_list_names_the_files_and_their_sidecars_say_more(tmp_path, packed):
    sounds(tmp_path, "set/a.wav", "set/deep/b.wav")
    (tmp_path / "set/a.json").write_text(
        json.dumps(
            {
                "title": "A", "artist": "B", "key": "C minor", "bpm": 120.0, "genre": "house",
                "moods": ["dark"], "keywords": "club, late", "description": "A track.",
                "sample_rate": 48000, "file_extension": "wav", "duration": 3.0,
            }
        )
    )  # fmt: skip
    lines = [
        {"path": "set/a.wav", "duration": 3.0, "sample_rate": 44100, "amplitude": None},
        {"path": str(tmp_path / "set/deep/b.wav"), "duration": 3.0, "sample_rate": 32000},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    path = tmp_path / ("data.jsonl.gz" if packed else "data.jsonl")
    path.write_bytes(gzip.compress(text) if packed else text)
    first, second = find(path, Wishes()).items
    assert (first.name, first.said.rate, first.said.bpm) == ("set/a.wav", 44100, "120")
    assert (first.said.genres, first.said.tags) == (("house",), ("club", "late"))
    assert (second.name, second.said.rate) == ("set/deep/b.wav", 32000)


def test_a_plain_manifest_names_files_and_prompts(tmp_path):
    sounds(tmp_path, "a/x.wav", "b/x.wav")
    manifest = [{"audio": "a/x.wav", "prompt": "one"}, {"audio": "b/x.wav", "prompt": "two"}]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for audio in (tmp_path, tmp_path / "manifest.json"):
        found = find(audio, Wishes())
        assert {name: each.prompt for name, each in by_name(found).items()} == {
            "a/x.wav": "one",
            "b/x.wav": "two",
        }


def test_a_name_that_two_rows_share_says_nothing(tmp_path):
    folder = sounds(tmp_path / "audio", "c/x.wav")
    (tmp_path / "t.csv").write_text("path,prompt\na/x.wav,one\nb/x.wav,two\n")
    found = find(folder, Wishes(table=tmp_path / "t.csv"))
    assert found.items == [] and found.skipped[0]["reason"] == "is not in t.csv"


def test_a_column_may_have_any_name(tmp_path):
    sounds(tmp_path, "x.wav")
    (tmp_path / "t.csv").write_text("file;words\nx.wav;slow dub\n")
    (item,) = find(tmp_path, Wishes(table=tmp_path / "t.csv", column="words")).items
    assert item.said.prompt == "slow dub"
    with pytest.raises(SidemanError, match=r"has no column 'prompt': there are file, words"):
        Table(tmp_path / "t.csv", "prompt")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.json", "{}", "is no list of objects"),
        ("t.json", "[", "is not JSON"),
        ("t.jsonl", '{"path": "x.wav"}\n[]\n', "line 2 is no object"),
        ("t.csv", "", "holds no rows"),
        ("t.csv", "path,prompt\n", "holds no rows"),
        ("t.jsonl.gz", "x", "is not gzip"),
        ("t.csv", "title\nx\n", "names no files"),
    ],
)
def test_a_wrong_list_is_one_clear_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(SidemanError, match=message) as caught:
        find(tmp_path / name, Wishes())
    assert "\n" not in caught.value.text


# --- sidecars ------------------------------------------------------------------------------------


def test_a_text_beside_a_file_is_its_prompt(tmp_path):
    sounds(tmp_path, "x.wav", "y.wav")
    (tmp_path / "x.txt").write_text("\ufeffslow\ndub \n", encoding="utf-8")
    (tmp_path / "y.txt").write_text("track_title: T\ndescription: D\ngenre: [a, b]\n")
    assert sidecars.beside(tmp_path / "x.wav") == Said(prompt="slow dub")
    known = Said(title="T", description="D", genres=("a", "b"))
    assert sidecars.beside(tmp_path / "y.wav") == known


@pytest.mark.parametrize("data", [b"[]", b"{", b"\xff\xfe"])
def test_a_broken_sidecar_is_a_reason_and_not_an_end(tmp_path, data):
    sounds(tmp_path, "x.wav", "y.wav")
    (tmp_path / "x.json").write_bytes(data)
    found = find(tmp_path, Wishes())
    assert [item.name for item in found.items] == ["y.wav"]
    assert found.skipped[0]["path"] == "x.wav" and "x.json is no" in found.skipped[0]["reason"]


# --- FMA -----------------------------------------------------------------------------------------

FMA_COLUMNS = [
    ("album", "comments"), ("album", "information"), ("album", "title"), ("artist", "name"),
    ("set", "split"), ("track", "genre_top"), ("track", "genres"), ("track", "genres_all"),
    ("track", "license"), ("track", "tags"), ("track", "title"),
]  # fmt: skip


def write_fma(folder, tracks, columns=FMA_COLUMNS):
    """``tracks.csv`` and ``genres.csv`` with their three rows and one row of heads."""
    folder.mkdir(exist_ok=True)
    with (folder / "tracks.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["", *(table for table, _ in columns)])
        writer.writerow(["", *(name for _, name in columns)])
        writer.writerow(["track_id", *("" for _ in columns)])
        for number, cells in tracks.items():
            writer.writerow([number, *(cells.get(column, "") for column in columns)])
    (folder / "genres.csv").write_text(
        "genre_id,#tracks,parent,title,top_level\n"
        "20,4,0,Spoken,20\n2,9,0,International,2\n"
        "1,1,0,20th Century Classical,5\n21,9,0,Hip-Hop,21\n"
    )
    return folder


ONE = {
    ("album", "information"): "<p>A <b>tape</b> &amp; more</p>",
    ("album", "title"): "Album",
    ("artist", "name"): "AWOL",
    ("track", "genre_top"): "Hip-Hop",
    ("track", "genres_all"): "[21, 1]",
    ("track", "license"): "Attribution-NonCommercial 3.0 International",
    ("track", "tags"): "['late night', 'tape']",
    ("track", "title"): "Food",
}


def test_fma_columns_are_found_by_name_in_any_order(tmp_path):
    expected = Said(
        title="Food", artist="AWOL", album="Album", about="A tape & more",
        genres=("Hip-Hop", "20th Century Classical"), tags=("late night", "tape"),
        licence="Attribution-NonCommercial 3.0 International",
    )  # fmt: skip
    for columns in (FMA_COLUMNS, FMA_COLUMNS[::-1]):
        folder = write_fma(tmp_path / "fma", {2: ONE, 3: {}}, columns)
        assert fma.read(folder, {2, 3, 4}) == {2: expected, 3: Said()}


@given(st.dictionaries(st.integers(1, 200_000), CELLS, min_size=1, max_size=6))
def test_no_row_of_fma_is_lost_whatever_is_in_its_cells(tmp_path_factory, titles):
    folder = tmp_path_factory.mktemp("fma")
    tracks = {
        number: {("track", "title"): title, ("album", "information"): f"<p>{title}</p>\n\n"}
        for number, title in titles.items()
    }
    found = fma.read(write_fma(folder, tracks), set(titles))
    assert list(found) == list(titles)
    assert all(found[number].title == fma.plain(title) for number, title in titles.items())


@given(st.binary(max_size=300))
def test_any_bytes_are_fma_s_tracks_or_one_clear_line(tmp_path_factory, data):
    folder = write_fma(tmp_path_factory.mktemp("fma"), {})
    (folder / "tracks.csv").write_bytes(data)
    with pytest.raises(SidemanError, match=r"tracks\.csv"):
        fma.read(folder, {1})


def test_fma_tracks_come_with_their_licences_and_by_them(tmp_path):
    audio = sounds(tmp_path / "audio", "000/000002.mp3", "000/000003.mp3", "000/000004.mp3")
    other = {**ONE, ("track", "license"): "CC0 1.0 Universal"}
    metadata = write_fma(tmp_path / "fma", {2: ONE, 3: other})
    found = find(audio, Wishes(fma=metadata, licences=("CC0",)))
    assert [item.name for item in found.items] == ["000/000003.mp3"]
    assert found.items[0].said.licence == "CC0 1.0 Universal"
    assert {entry["reason"] for entry in found.skipped} == {
        "its licence is Attribution-NonCommercial 3.0 International",
        "is not in FMA's tracks.csv",
    }


def test_folders_are_drawn_by_seed_and_name_alone(tmp_path):
    audio = sounds(tmp_path, *(f"{number:03d}/{number:06d}.mp3" for number in range(20)))
    draws = [find(audio, Wishes(folders=5, seed=seed)).folders for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    found = find(audio, Wishes(folders=5))
    assert sorted({item.name[:3] for item in found.items}) == found.folders == draws[0]
    sounds(tmp_path, "999/000999.mp3")
    assert len(set(find(audio, Wishes(folders=5)).folders) - set(draws[0])) <= 1


# --- licences ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Attribution-Noncommercial-Share Alike 3.0 United States", "CC-BY-NC-SA"),
        ("Attribution-NonCommercial-NoDerivatives (aka Music Sharing) 3.0", "CC-BY-NC-ND"),
        ("Attribution 4.0 International", "CC-BY"),
        ("Creative Commons Attribution-ShareAlike", "CC-BY-SA"),
        ("CC BY-SA 4.0", "CC-BY-SA"),
        ("cc-by-nc-4.0", "CC-BY-NC"),
        ("https://creativecommons.org/licenses/by-nc/4.0/", "CC-BY-NC"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0"),
        ("CC0 1.0 Universal", "CC0"),
        ("Public Domain Mark 1.0", "public domain"),
        ("FMA-Limited: Download Only", "FMA-Limited: Download Only"),
        ("MIT", "MIT"),
        ("", ""),
    ],
)
def test_licences_have_short_names(text, name):
    assert short(text) == name
    assert short(name) == name


def test_a_licence_that_allows_less_is_not_taken_for_one_that_allows_more():
    assert allowed("Attribution 3.0", ["cc-by"]) and allowed("MIT", ["mit"])
    assert not allowed("Attribution-NonCommercial 3.0", ["CC-BY", "CC0"])
    assert not allowed("", ["CC0"])


# --- folders -------------------------------------------------------------------------------------


def test_folders_are_concepts(tmp_path):
    audio = sounds(tmp_path, "8bit/deep/a.wav", "lo-fi/b.ogg", "c.wav", "lo-fi/.hidden.wav")
    found = find(audio, Wishes(concepts=True))
    concepts = {name: each.concept for name, each in by_name(found).items()}
    assert concepts == {"8bit/deep/a.wav": "8bit", "lo-fi/b.ogg": "lo-fi"}
    assert found.skipped == [{"path": "c.wav", "reason": "lies in no folder of a concept"}]


def test_links_in_a_circle_are_walked_once(tmp_path):
    audio = sounds(tmp_path / "audio", "a/x.wav")
    (audio / "a" / "back").symlink_to(audio)
    (audio / "other").symlink_to(sounds(tmp_path / "elsewhere", "y.wav"))
    assert sorted(by_name(find(audio, Wishes()))) == ["a/x.wav", "other/y.wav"]


def test_a_list_may_lie_apart_from_the_sound_that_it_names(tmp_path):
    sounds(tmp_path / "audio", "x.wav")
    (tmp_path / "lists").mkdir()
    line = {"path": str(tmp_path / "audio/x.wav"), "sample_rate": 32000}
    (tmp_path / "lists/data.jsonl").write_text(json.dumps(line))
    (item,) = find(tmp_path / "lists", Wishes()).items
    assert item.path == tmp_path / "audio/x.wav"


def test_sound_that_is_not_read_is_named(tmp_path):
    found = find(sounds(tmp_path, "a.m4a", "b.WAV", "notes.txt"), Wishes())
    assert [item.name for item in found.items] == ["b.WAV"]
    assert found.skipped == [
        {"path": "a.m4a", "reason": "m4a is not read: convert it to FLAC or WAV"}
    ]


def test_the_thesis_layout_is_known_by_its_lists(tmp_path):
    names = [
        f"data/{split}/8bit/audio/{split}_p{n}.wav" for split in ("train", "valid") for n in (0, 1)
    ]
    sounds(tmp_path, *names)
    lists = {"metadata_train.json": names[:2], "metadata_val.json": names[2:]}
    for list_name, paths in lists.items():
        table = [
            {
                "audio_path": path,
                "encoded_path": path.replace("audio/", "encoded/").replace(".wav", ".pt"),
                "concept": "8bit",
                "track_id": "0b7d9a52-5e0d-4d0f-9d4e-3f6f1f6a7f10",
            }
            for path in paths
        ]
        (tmp_path / list_name).write_text(json.dumps(table))
    (tmp_path / "metadata_concepts.json").write_text('{"8bit": "chip music"}')
    known = by_name(find(tmp_path, Wishes()))
    assert list(known) == names
    assert {each.concept for each in known.values()} == {"8bit"}
    assert {each.description for each in known.values()} == {"chip music"}
    assert [known[name].split for name in names] == ["train"] * 2 + ["held-out"] * 2
    (tmp_path / "metadata_val.json").write_text("[]")
    assert {each.split for each in by_name(find(tmp_path, Wishes())).values()} == {""}


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_where_there_is_no_sound_is_one_clear_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SidemanError, match=r"there is no such|holds no sound: WAV, MP3"):
        find(tmp_path / name, Wishes())
