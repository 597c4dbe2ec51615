"""The user's own presets and models: those that work, and those that are refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.e2e.client import Client
from tests.e2e.engine import Engine
from tests.support.tiny_model import make_tiny_model

PRESET = """kind = "midi"
model = "{model}"
licence = "Apache-2.0"
[sampling]
temperature = 0.9
[midi]
programs = ["drums"]
bars = 1
begins = true
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose user has presets and models, good and bad."""
    home = tmp_path_factory.mktemp("shelf")
    presets = home / "config" / "sideman" / "presets"
    presets.mkdir(parents=True)
    for model in ("mine", "forged", "misshapen", "vanished"):
        (presets / f"{model}.toml").write_text(PRESET.format(model=model))
    (presets / "typo.toml").write_text(PRESET.format(model="mine") + "polyfony = 3\n")
    (presets / "wild.toml").write_text(PRESET.format(model="mine").replace("0.9", "90"))
    make_models(home / "data" / "sideman" / "models")
    running = Engine(home)
    try:
        with Client(running) as client:
            client.until("ready")
        yield running
    finally:
        running.kill()


def make_models(folder: Path) -> None:
    make_tiny_model(folder / "mine")
    forged = make_tiny_model(folder / "forged") / "weights.safetensors"
    data = bytearray(forged.read_bytes())
    data[-1] ^= 1
    forged.write_bytes(data)
    weights = make_tiny_model(folder / "misshapen") / "weights.safetensors"
    tensors = load_file(weights)
    tensors["head.weight"] = np.ascontiguousarray(tensors["head.weight"][:-1])
    save_file(tensors, weights)
    about = json.loads(weights.with_name("model.json").read_text())
    about["weights"]["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.with_name("model.json").write_text(json.dumps(about))


def test_a_model_of_ones_own_plays_and_can_be_unloaded(engine: Engine, client: Client) -> None:
    answer = client.request("continue", 1, preset="mine", seed=1)
    assert answer.code == "done" and answer.notes
    about = json.loads((engine.session / f"take-{answer.clip.take:04d}.json").read_text())
    weights = engine.sessions.parent / "data/sideman/models/mine/weights.safetensors"
    assert about["model"] == "mine"
    assert about["model_hash"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    client.ask("/sideman/model/unload", "mine")
    client.ask("/sideman/model/load", "mine")
    assert client.request("continue", 1, preset="mine", seed=1).notes == answer.notes


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("typo", ("typo.toml", "line 10", "polyfony", "polyphony")),
        ("wild", ("wild.toml", "line 5")),
    ],
)
def test_a_preset_that_is_wrong_is_refused_and_says_where(
    client: Client, preset: str, words: tuple[str, ...]
) -> None:
    before = client.status()
    fail = client.refusal("/sideman/preset", preset)
    assert fail.code == "bad-file"
    assert all(word in str(fail.text) for word in words), fail.text
    assert client.refusal("/sideman/continue", 1, 1, "preset", preset).code == "bad-file"
    assert client.status() == before


@pytest.mark.parametrize("model", ["forged", "misshapen"])
def test_a_model_that_is_not_what_it_says_is_refused(client: Client, model: str) -> None:
    before = client.status()
    answer = client.request("continue", 1, preset=model)
    assert (answer.code, answer.clips) == ("bad-file", [])
    assert client.status() == before
    assert client.request("continue", 1, preset="drums", bars=1).code == "done"


def test_a_preset_without_its_model(client: Client) -> None:
    before = client.status()
    assert client.request("continue", 1, preset="vanished").code == "unknown-model"
    assert client.refusal("/sideman/preset", "vanished").code == "unknown-model"
    assert client.status() == before
