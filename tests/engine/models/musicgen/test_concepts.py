"""Learned concepts in prompts: what they stand for, where they are found, what is refused."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import Code, SidemanError
from engine.models import store
from engine.models.audio import Sampling
from engine.models.musicgen import concepts
from engine.models.musicgen.concepts import Embeddings
from engine.models.musicgen.model import MusicGen

WIDTH = 24


@pytest.fixture
def model(mono: MusicGen) -> Iterator[MusicGen]:
    """A model that knows no concept, before and after."""
    mono.text.remove_concepts()
    yield mono
    mono.text.remove_concepts()


def words_of(model: MusicGen, text: str) -> Embeddings:
    """The embeddings of a text's own tokens, without the end of text."""
    table = model.network.text_encoder.get_input_embeddings().weight.detach()
    found: Embeddings = table[model.text.tokens(text)[:-1]].numpy()
    return found


def install(word: str, base: str = "facebook/musicgen-tiny-random", width: int = WIDTH) -> Path:
    vectors = {word: np.random.default_rng(0).normal(size=(5, width)).astype(np.float32)}
    folder = store.user_folder().parent / "concepts" / f"of-{word}"
    concepts.write(
        folder, concepts.describe(folder.name, base, vectors, licence="CC0-1.0"), vectors
    )
    return folder


def refused(model: MusicGen, text: str) -> SidemanError:
    with pytest.raises(SidemanError) as error:
        model.text.encode(text)
    assert "\n" not in error.value.text
    return error.value


@pytest.mark.parametrize("text", ["<it>", "slow <it> at night", "<it> <it>!", "a<it>b"])
def test_a_concept_of_words_sounds_as_the_words_do(model: MusicGen, text: str) -> None:
    model.text.add_concepts({"it": words_of(model, "dusty piano")})
    spelled = re.sub(r"\s*<it>\s*", " dusty piano ", text)
    both = [model.text.encode(each) for each in (text, spelled)]
    assert both[0] is not None and both[1] is not None
    assert torch.equal(*both)
    assert len(model.text.tokens(text)) == len(model.text.tokens(spelled))


def test_texts_without_a_concept_are_as_they_were(model: MusicGen) -> None:
    texts = ["dusty piano", "90 bpm, 3 < 4 > 2", "</s> and </it>", "Ünïcode"]
    tokens = [model.text.tokens(text) for text in texts]
    states = [model.text.encode(text) for text in texts]
    model.text.add_concepts({"it": np.zeros((7, WIDTH), np.float32)})
    assert [model.text.tokens(text) for text in texts] == tokens
    for text, before in zip(texts, states, strict=True):
        now = model.text.encode(text)
        assert before is not None and now is not None and torch.equal(before, now)


def test_as_transformers_reads_added_words(model: MusicGen, models: dict[int, Path]) -> None:
    """The order of the vectors is kept, and T5 hears them as if its vocabulary had grown."""
    vectors = np.random.default_rng(1).normal(size=(3, WIDTH)).astype(np.float32)
    model.text.add_concepts({"night": vectors})
    ours = model.text.encode("a <night> b")
    ids = model.text.tokens("a <night> b")
    grown = MusicGen.load(models[1]).network.text_encoder
    rows = grown.config.vocab_size
    assert ids[1:4] == [rows, rows + 1, rows + 2]
    grown.resize_token_embeddings(rows + 3, mean_resizing=False)
    with torch.no_grad():
        grown.get_input_embeddings().weight[rows:] = torch.from_numpy(vectors)
        theirs = grown(input_ids=torch.tensor([ids])).last_hidden_state[0]
        projected = model.network.enc_to_dec_proj(theirs)
    assert ours is not None and torch.equal(ours, projected)


def test_what_is_played_changes_with_a_concept(model: MusicGen) -> None:
    def codes(text: str) -> torch.Tensor:
        stream = model.open(1, frames=12, sampling=Sampling(temperature=0))
        stream.prime(None, [text], frames=12)
        while stream.remaining:
            stream.step()
        return stream.codes

    model.text.add_concepts({"it": words_of(model, "dusty piano")})
    assert torch.equal(codes("<it> solo"), codes("dusty piano solo"))
    model.text.add_concepts({"it": np.full((4, WIDTH), 3, np.float32)})
    assert not torch.equal(codes("<it> solo"), codes("dusty piano solo"))


def test_vectors_count_towards_the_limit(model: MusicGen) -> None:
    model.text.add_concepts({"long": np.ones((400, WIDTH), np.float32)})
    assert len(model.text.tokens("<long>")) == 401
    error = refused(model, "<long> <long>")
    assert error.code is Code.BAD_ARGUMENTS and "801 tokens" in error.text


def test_an_unknown_concept_names_the_nearest(model: MusicGen) -> None:
    assert "none is installed" in refused(model, "in the style of <8bit>").text
    model.text.add_concepts({"synthwave": np.ones((2, WIDTH), np.float32)})
    install("8bit")
    for said, meant in (("8bits", "8bit"), ("sinthwave", "synthwave")):
        error = refused(model, f"in the style of <{said}>")
        assert error.code is Code.UNKNOWN_MODEL and f"the nearest is <{meant}>" in error.text


@pytest.mark.parametrize("shape", [(3, WIDTH + 1), (WIDTH,), (0, WIDTH)])
def test_vectors_of_another_shape_are_refused(model: MusicGen, shape: tuple[int, ...]) -> None:
    with pytest.raises(SidemanError, match=str(WIDTH)) as error:
        model.text.add_concepts({"it": np.ones(shape, np.float32)})
    assert error.value.code is Code.NOT_ALLOWED
    assert model.text.concepts == ()


def test_installed_concepts_are_found_by_their_word(model: MusicGen) -> None:
    folder = install("dusk")
    before = model.text.encode("<dusk>")
    assert before is not None
    model.text.add_concepts(concepts.read(folder))
    added = model.text.encode("<dusk>")
    assert added is not None and torch.equal(before, added)


def test_one_that_was_learned_anew_is_heard_at_once(model: MusicGen) -> None:
    before = model.text.encode("<dusk2>") if install("dusk2") else None
    vectors = {"dusk2": np.ones((2, WIDTH), np.float32)}
    folder = store.user_folder().parent / "concepts" / "of-dusk2"
    concepts.write(folder, concepts.describe("of-dusk2", model.name, vectors), vectors)
    os.utime(folder / "concept.json", ns=(1, 1))
    after = model.text.encode("<dusk2>")
    assert before is not None and after is not None and len(before) == 6 and len(after) == 3


def test_another_models_concept_is_refused_by_both_names(model: MusicGen) -> None:
    install("choir", base="facebook/musicgen-large")
    error = refused(model, "<choir>")
    assert error.code is Code.NOT_ALLOWED
    assert "facebook/musicgen-large" in error.text and model.name in error.text
    install("wide", width=WIDTH + 8)
    error = refused(model, "<wide>")
    assert error.code is Code.NOT_ALLOWED and str(WIDTH + 8) in error.text


def test_a_folder_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    vectors = {word: rng.normal(size=(n, 8)).astype(np.float32) for word, n in (("b", 2), ("a", 3))}
    about = concepts.describe("two", "musicgen-small", vectors, date="2026-11-22")
    sealed = concepts.write(tmp_path / "two", about, vectors)
    assert concepts.read_info(tmp_path / "two") == sealed
    back = concepts.read(tmp_path / "two")
    assert all(np.array_equal(back[word], vectors[word]) for word in vectors)
    assert sealed.concepts == {"b": 2, "a": 3}


@pytest.mark.parametrize("word", ["", "two words", "a>b", "../up"])
def test_words_that_no_prompt_can_say_are_refused(word: str, tmp_path: Path) -> None:
    vectors = {word: np.ones((1, 4), np.float32)}
    with pytest.raises(SidemanError):
        concepts.write(tmp_path, concepts.describe("x", "y", vectors), vectors)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"8bit":', '"8bits":'), ('"width": 24', '"width": 25'), ('"format": 1', '"format": 2')],
)
def test_damaged_folders_are_refused_and_known_by_no_word(old: str, new: str) -> None:
    folder = install("8bit")
    path = folder / "concept.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SidemanError) as error:
        concepts.read(folder)
    assert error.value.code is Code.BAD_FILE
    assert concepts.find(folder.name) == folder


def test_the_concepts_of_a_thesis_fit_in_a_folder(music_data: Path, tmp_path: Path) -> None:
    """A published file of textual inversion: its vectors are read weights-only, and come back."""
    path = music_data / "fixtures" / "textual-inversion-small-20.pt"
    if not path.is_file():
        pytest.skip("needs the published concepts")
    read = torch.load(path, map_location="cpu", weights_only=True)
    vectors = {word: each["embeds"].numpy() for word, each in read.items()}
    about = concepts.describe("thesis", "facebook/musicgen-small", vectors)
    concepts.write(tmp_path / "thesis", about, vectors)
    back = concepts.read(tmp_path / "thesis")
    assert {word: each.shape for word, each in back.items()} == dict.fromkeys(vectors, (20, 768))
    assert all(np.array_equal(back[word], vectors[word]) for word in vectors)
