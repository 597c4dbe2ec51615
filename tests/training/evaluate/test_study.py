import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from engine.errors import SidemanError
from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.torch_model import Rwkv7
from training.chord_following import Following
from training.evaluate.study import HISTORY, StudyConfig, study
from training.export import export_model
from training.report import write
from training.samples import METHODS, SampleConfig

VOID = {"meta", "line"}


@pytest.fixture(scope="module")
def result(token_folder, tmp_path_factory):
    from training.data import TokenSet

    torch.manual_seed(0)
    data = TokenSet(token_folder)
    model = Rwkv7(Sizes(1, 64, 64, 64, data.vocabulary.size, 4, 4, 4, 4))
    model.initialise()
    folder = export_model(model, data, tmp_path_factory.mktemp("models") / "tiny", {})
    config = StudyConfig(
        folder, token_folder, samples=SampleConfig(pieces=1, context_bars=4, bars=2)
    )
    parts = []
    done = study(config, parts.append)
    assert parts[-1] == 1
    return done


def test_every_collection_is_scored_beside_its_baselines(result):
    figures = result.figures()
    assert set(figures) == {"bands", "foreign"}
    bands = figures["bands"]
    assert (bands["pieces"], bands["bars"], bands["samples"]) == (2, 16, 1)
    assert set(bands["predictors"]) == {"unigram", "3-gram", "5-gram", HISTORY}
    # These songs are one bar again and again: n-grams see it, a model that learnt nothing doesn't.
    history = bands["predictors"][HISTORY]["bits_per_note"]
    assert history < bands["predictors"]["unigram"]["bits_per_note"] < bands["bits_per_note"]
    json.dumps(figures)


def test_who_repeats_a_song_that_repeats_is_right(result):
    means = result.figures()["bands"]["measures"]
    assert set(means) == set(METHODS)
    for method in ("real", "repeat", "markov"):
        assert means[method]["verbatim"] == means[method]["density"] == 1
        assert means[method]["pitch_classes"] == means[method]["velocities"] == 1
    assert means["real"]["copied"] == means["repeat"]["copied"] == 8
    assert result.figures()["bands"]["nearer"]["repeat"] == 0


class Checker(HTMLParser):
    """Every element that is opened is closed; nothing is loaded from anywhere."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.seen = []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)
        assert not {"src", "href"} & {name for name, _ in attributes}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_well_formed_page(result, tmp_path):
    path = write(result, tmp_path / "new" / "report.html")
    text = path.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    assert not checker.open
    assert checker.seen.count("figure") == 2 * len(METHODS)
    assert "script" not in checker.seen
    assert not re.search(r"https?://|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    assert str(Path.home()) not in text


def test_what_it_is_worth_to_be_told_is_measured(result):
    told = result.figures()["bands"]["told"]
    assert set(told) == {"scale", "density", "cast", "chords", "others"}
    assert told["others"].keys() == {"notes", "told", "untold", "alone"}
    assert all(worth["notes"] > 0 for worth in told.values())


def test_how_takes_keep_to_chords_is_told(result, tmp_path):
    parts = [replace(part, chords=Following(3, 0.8123, 0.9)) for part in result.parts]
    kept = replace(result, parts=parts)
    figures = kept.figures()["bands"]["chord_tones"]
    assert figures == {"pieces": 3, "model": 0.812, "real": 0.9}
    assert "bands 81% (90%)" in write(kept, tmp_path / "chords.html").read_text(encoding="utf-8")


def test_without_samples_there_is_a_page_of_bits(result, tmp_path):
    config = replace(result.config, samples=SampleConfig(pieces=0), pieces=1, limit=40)
    bits = study(config)
    assert bits.figures()["bands"]["measures"] == {}
    assert "Playing on" not in write(bits, tmp_path / "bits.html").read_text(encoding="utf-8")


def test_data_of_another_vocabulary_is_refused(result, tmp_path):
    import shutil
    other = tmp_path / "tokens"
    shutil.copytree(result.config.data, other)
    settings = json.loads((other / "tokenizer.json").read_text())
    settings["config"]["num_velocities"] = 8
    (other / "tokenizer.json").write_text(json.dumps(settings))
    with pytest.raises(SidemanError, match="another vocabulary"):
        study(replace(result.config, data=other))
