"""The study of a model of sound: each figure where it must be, on a model of random weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from bridge.cli import main
from engine.audio.grid import Grid
from engine.errors import SidemanError
from engine.models.musicgen import tiny
from engine.models.musicgen.model import MusicGen
from tests.training.sound.sounds import write_data
from training.sound.audio_report import page
from training.sound.audio_study import MODEL, REAL, AudioStudyConfig, heldout_loss, study
from training.sound.dataset import RATE, Clips
from training.sound.delayed import delayed
from training.sound.grid_measures import measure_take


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(
        tmp_path_factory.mktemp("data") / "d", {None: 220.0}, clips=3, held_out=2, seconds=4.0
    )


@pytest.fixture
def config(base, data):
    return AudioStudyConfig(
        base, data, takes=3, seconds=1.0, continued=1, bars=1, bpm=120, few=True, device="cpu"
    )


def test_a_study_holds_the_model_against_real_music(config):
    found = study(config)
    assert found.embedding == "mel" and not found.enough
    assert found.reference_vectors == 12
    assert found.distances[MODEL].vectors == 3 and found.distances[REAL].vectors == 8
    assert found.distances[REAL].fad < found.distances[MODEL].fad
    means = found.means()
    assert means[REAL]["tempo_percent"] < 0.5 and means[REAL]["beat"] > 0.5
    assert means[REAL]["same_key"] == 1 and means[REAL]["chroma"] > 0.99
    assert means[REAL]["unlikeness_db"] < means[MODEL]["unlikeness_db"]
    assert found.loss is not None and found.loss.chance == pytest.approx(np.log(512))
    html = page(found)
    assert html.startswith("<!doctype html>") and "FAD (mel)" in html
    assert "clap" not in html.lower() and "http" not in html
    assert "Too few sounds" in html
    assert json.loads(json.dumps(found.figures()))["heldout"] == found.loss.mean


def test_the_same_seed_measures_the_same(config):
    few = replace(config, takes=0, continued=0)
    assert study(few).figures() == study(few).figures()
    assert study(few).distances == {}


def test_too_few_sounds_are_refused_before_anything_is_played(config, monkeypatch):
    monkeypatch.setattr("training.sound.audio_study.played", None)
    with pytest.raises(SidemanError, match="the training clips are 12 vectors of 40"):
        study(replace(config, few=False))


def test_the_held_out_loss_is_that_of_transformers(base, data):
    model = MusicGen.load(base)
    clips = Clips.open(data)
    clips.encode(model)
    clip = clips.held_out[0]
    codes = torch.from_numpy(clip.codes())
    batch = delayed([codes], model.delay)
    said = model.network.decoder(
        input_ids=batch.inputs.flatten(0, 1),
        encoder_hidden_states=model.text.encode(clip.prompt)[None],
        labels=batch.labels.transpose(1, 2),
    )
    assert heldout_loss(model, [clip]).mean == pytest.approx(float(said.loss), rel=1e-5)


def test_a_prompt_that_says_nothing_counts_as_none(base, data):
    model = MusicGen.load(base)
    clips = Clips.open(data)
    clips.encode(model)
    clip = clips.held_out[0]
    both = heldout_loss(model, [replace(clip, prompt=""), clip]).mean
    alone = [heldout_loss(model, [replace(clip, prompt=text)]).mean for text in ("", clip.prompt)]
    assert alone[0] != pytest.approx(alone[1])
    assert both == pytest.approx(np.mean(alone), rel=1e-5)


def clicks(bpm: float, seconds: float) -> np.ndarray:
    sound = np.zeros(round(seconds * RATE), np.float32)
    random = np.random.default_rng(0)
    for beat in range(int(seconds * bpm / 60)):
        at = round(beat * 60 / bpm * RATE)
        length = min(800, len(sound) - at)
        sound[at : at + length] = (
            0.5 * random.standard_normal(length) * np.exp(-np.arange(length) / 200)
        )
    return sound[:, None]


def test_a_take_that_is_late_or_slow_is_measured_so():
    grid = Grid(RATE, 120)
    before, after = clicks(120, 4), clicks(120, 8)
    good = measure_take(before, after, grid, 2)
    assert good.tempo_percent < 0.2 and good.phase_ms < 2
    late = np.concatenate([np.zeros((RATE // 25, 1), np.float32), after])[: len(after)]
    assert measure_take(before, late, grid, 2).phase_ms > 20 * good.beat
    slow = measure_take(before, clicks(117, 8), grid, 2)
    assert slow.tempo_percent == pytest.approx(100 * (120 / 117 - 1), rel=0.1)
    loud = measure_take(before, 0.25 * after, grid, 2)
    assert loud.level_lu == pytest.approx(12.04, abs=0.3)


def test_the_command_prints_json_and_writes_a_page(capsys, base, data, tmp_path):
    out = tmp_path / "page.html"
    few = ["--takes", "3", "--seconds", "1", "--samples", "0", "--few", "--bpm", "120"]
    words = ["train", "evaluate", str(base), str(data), "-o", str(out)]
    assert main([*words, *few, "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["output"] == str(out) and said["embedding"] == "mel"
    assert said["distances"]["model"]["kad"]["low"] < said["distances"]["model"]["kad"]["high"]
    assert out.read_text().count("<svg") >= 2
    assert main([*words, "--clap", str(tmp_path)]) == 1
    assert "no CLAP" in capsys.readouterr().err
