import json

import pytest
from miditok import REMI

from engine.errors import Code, SidemanError
from training.data import CONDITIONS
from training.recipes import Recipe, find, load_recipe
from training.tokenize import TokenizeConfig, make_tokenizer, tokenize


def manifest(folder):
    return json.loads((folder / "pieces.json").read_text())


def make(midis, output, *collections, seed=0):
    recipe = Recipe("test", "Apache-2.0", collections)
    return tokenize(TokenizeConfig(recipe, midis, output, seed=seed))


def test_the_tokenizer_file_opens_in_miditok_and_lists_the_tokens_in_order(token_folder):
    tokenizer = REMI(params=token_folder / "tokenizer.json")
    names = json.loads((token_folder / "tokenizer.json").read_text())["tokens"]
    assert tokenizer.vocab == make_tokenizer().vocab
    known = len(tokenizer.vocab)
    assert [tokenizer.vocab[name] for name in names[:known]] == list(range(known))
    assert all(name.partition("_")[0] in CONDITIONS for name in names[known:])


def test_notes_of_one_moment_come_drums_first_then_by_program_and_pitch(token_set):
    names = token_set.vocabulary.names
    first = [names[token] for token in token_set.tokens(token_set.pieces[0])[:25]]
    assert first[:3] == ["Bar_None", "TimeSig_4/4", "Position_0"]
    programs = [name for name in first if name.startswith("Program")]
    assert programs[:5] == ["Program_-1", "Program_0", "Program_0", "Program_0", "Program_33"]
    pitches = [int(name[6:]) for name in first if name.startswith("Pitch_")]
    assert pitches[:3] == sorted(pitches[:3])


def test_broken_doubled_foreign_and_empty_files_are_skipped_with_the_reason(
    tmp_path, write_song, collection
):
    folder = tmp_path / "midis" / "bands"
    write_song(folder / "a.mid", 60)
    write_song(folder / "b.mid", 60)
    write_song(folder / "c.mid", 62, meter=(11, 16))
    write_song(folder / "d.mid", 64, bars=0)
    write_song(folder / "e.mid", 65)
    (folder / "broken.mid").write_bytes(b"MThd\x00\x00\x00\x06\x00\x01\x00")
    made = make(
        folder.parent,
        tmp_path / "out",
        collection("bands", exclude=("e.mid",), reason="not ours", heldout=0),
    )
    skipped = {entry["path"]: entry["reason"] for entry in manifest(made)["skipped"]}
    assert [piece["path"] for piece in manifest(made)["pieces"]] == ["a.mid"]
    assert set(skipped) == {"b.mid", "c.mid", "d.mid", "e.mid", "broken.mid"}
    assert skipped["b.mid"] == "the same piece as another file"
    assert skipped["c.mid"] == "meter 11/16"
    assert skipped["e.mid"] == "not ours"


def test_movements_of_one_work_stay_on_one_side_of_the_split(tmp_path, write_song, collection):
    for root in range(55, 63):
        for movement in range(3):
            write_song(
                tmp_path / "midis" / "suites" / f"suite{root}_{movement}.mid", root, 4 + movement
            )
    suites = collection("suites", work=r"^[^_]+", heldout=5)
    pieces = manifest(make(tmp_path / "midis", tmp_path / "out", suites))["pieces"]
    sides = {}
    for piece in pieces:
        sides.setdefault(piece["path"].split("_")[0], set()).add(piece["split"])
    assert all(len(side) == 1 for side in sides.values())
    assert sum(piece["split"] == "heldout" for piece in pieces) == 6


def test_a_collection_without_weight_is_only_heard_in_tests(token_set):
    assert token_set.select("train", "foreign") == []
    assert len(token_set.select("heldout", "foreign")) == 12
    assert len(token_set.select("heldout", "bands")) == 2


def test_the_split_depends_on_the_seed_and_on_nothing_else(tmp_path, write_song, collection):
    for root in range(55, 67):
        write_song(tmp_path / "midis" / "bands" / f"{root}.mid", root)
    bands = collection("bands")

    def heldout(name, seed):
        pieces = manifest(make(tmp_path / "midis", tmp_path / name, bands, seed=seed))["pieces"]
        return [piece["path"] for piece in pieces if piece["split"] == "heldout"]

    assert heldout("one", 1) == heldout("again", 1)
    assert len({tuple(heldout(f"seed{seed}", seed)) for seed in range(4)}) > 1
    assert (tmp_path / "one" / "tokens.npy").read_bytes() == (
        tmp_path / "again" / "tokens.npy"
    ).read_bytes()


def test_folders_without_music_are_an_error(tmp_path, collection):
    with pytest.raises(SidemanError) as caught:
        make(tmp_path, tmp_path / "out", collection("bands"))
    assert caught.value.code is Code.BAD_FILE


def test_the_shipped_recipe_reads_and_trains_on_nothing_unclear():
    recipe = load_recipe(find("band"))
    trained = {entry.name for entry in recipe.collections if entry.weight > 0}
    assert trained == {"freedoom", "groove", "mutopia"}
    assert abs(sum(entry.weight for entry in recipe.collections) - 1) < 1e-9


def test_an_unknown_recipe_names_the_known_ones():
    with pytest.raises(SidemanError, match="band"):
        find("bend")


def test_a_recipe_with_an_unknown_key_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "x"\nlicence = "y"\n[[collection]]\nname = "a"\ncolour = "blue"\n')
    with pytest.raises(SidemanError, match=r"mine\.toml"):
        load_recipe(path)
