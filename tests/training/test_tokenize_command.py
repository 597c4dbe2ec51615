"""``sideman train tokenize`` as a user types it, and on real music."""

import hashlib
import json
from collections import Counter

import pytest

from bridge.cli import main
from training import recipes, runs
from training.data import TokenSet
from training.tokenize import TokenizeConfig, make


@pytest.fixture
def songs(tmp_path, write_song):
    for index in range(6):
        write_song(tmp_path / "songs" / f"song{index}.mid", 55 + index, bars=4 + index)
    (tmp_path / "songs" / "broken.mid").write_bytes(b"nothing")
    return tmp_path / "songs"


def command(songs, *words):
    return main(["train", "tokenize", str(songs), "-o", str(songs.parent / "tokens"), *words])


def test_the_last_line_is_one_json_object(songs, capsys):
    assert command(songs, "--json") == 0
    out, err = capsys.readouterr()
    result = json.loads(out.splitlines()[-1])
    assert result["output"] == str(songs.parent / "tokens")
    assert (result["pieces"], result["heldout"], result["skipped"]) == (6, 1, 1)
    assert result["tokens"] > 0 and result["seconds"] > 0 and result["playable"] is True
    assert "1 file was left out:\n  broken.mid: cannot be read" in err


def test_every_wish_reaches_the_data_set(songs, capsys):
    wishes = "--algo MMM --classes 0,16 --classes-req 4 --length 18 --merge --seed 3 --jobs 1"
    assert command(songs, *wishes.split(), "--json") == 0
    out, err = capsys.readouterr()
    result = json.loads(out.splitlines()[-1])
    assert (result["pieces"], result["skipped"], result["playable"]) == (5, 2, False)
    assert "song0.mid: lasts 15.25 beats, less than 18" in err
    assert "the live engine can't play models of these tokens: its tokenization is MMM" in err
    data = TokenSet(songs.parent / "tokens")
    names = Counter(data.vocabulary.names[token] for token in data.tokens(data.pieces[0]))
    assert {name for name in names if name.startswith("Program")} == {"Program_-1", "Program_0"}
    assert json.loads((data.folder / "pieces.json").read_text())["seed"] == 3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--classes", "17"], "no instrument class"),
        (["--bpe", "5"], "basic ones are needed"),
        (["--recipe", "nothing"], "no recipe 'nothing'"),
        (["--classes-req", "2"], "none of its 7 MIDI files can be used; the first, broken.mid"),
    ],
)
def test_a_wish_that_can_not_be_is_one_line(songs, capsys, words, text):
    assert command(songs, *words) == 1
    err = capsys.readouterr().err
    assert text in err and err.startswith("error: ") and err.count("\n") == 1


def test_two_ways_of_merging_are_wrong_usage(songs, capsys):
    assert command(songs, "--bpe", "600", "--unigram", "600") == 2


def test_the_run_is_known_to_those_who_list_runs(songs):
    assert command(songs) == 0
    (run,) = runs.all_runs()
    assert (run.name, run.table["status"]) == ("tokens.run", "completed")


def test_the_run_folder_can_be_elsewhere(songs, tmp_path):
    assert command(songs, "--resume", str(tmp_path / "elsewhere")) == 0
    assert not (tmp_path / "tokens.run").exists()
    assert runs.read(tmp_path / "elsewhere")["step"] == 7


def test_stopping_says_how_to_go_on(songs, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.tokenize.journal.Journal.add", stop)
    assert command(songs) == 130
    assert capsys.readouterr().err == "stopped: the same command goes on from here\n"


def test_real_bands_are_split_by_song_and_by_content(music_data, tmp_path):
    made = make(TokenizeConfig(None, music_data / "midi" / "freedoom", tmp_path / "tokens"))
    data = TokenSet(made.output)
    assert made.pieces > 80 and made.unplayable is None
    assert 0.08 < made.heldout / made.pieces < 0.15
    contents = {
        split: {
            hashlib.sha256(data.tokens(piece).tobytes()).hexdigest() for piece in data.select(split)
        }
        for split in ("train", "heldout")
    }
    assert not contents["train"] & contents["heldout"]
    assert len(contents["train"] | contents["heldout"]) == made.pieces
    assert all(entry["reason"] for entry in made.skipped)


@pytest.mark.slow
def test_the_shipped_recipe_makes_what_the_shipped_model_learned_from(music_data, tmp_path):
    recipe = recipes.load_recipe(recipes.find("band"))
    made = make(TokenizeConfig(recipe, music_data / "midi", tmp_path / "tokens", jobs=1))
    tokens = (made.output / "tokens.npy").read_bytes()
    assert hashlib.sha256(tokens).hexdigest().startswith("5309eb28352196d3")
    assert (made.pieces, len(made.skipped)) == (1991, 140)
