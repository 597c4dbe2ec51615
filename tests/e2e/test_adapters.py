"""Adapters on a running engine: attached, weakened, taken off, and refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.client import Client
from tests.e2e.engine import REPOSITORY, Engine
from tests.support.tiny_adapter import make_tiny_adapter
from tests.support.tiny_model import make_tiny_model

PRESET = """kind = "midi"
model = "mine"
licence = "Apache-2.0"
{adapter}
[midi]
programs = ["piano"]
bars = 1
begins = true
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose user has a model, adapters of it, and one of another model."""
    home = tmp_path_factory.mktemp("adapters")
    presets = home / "config" / "sideman" / "presets"
    presets.mkdir(parents=True)
    (presets / "mine.toml").write_text(PRESET.format(adapter=""))
    (presets / "styled.toml").write_text(PRESET.format(adapter='adapter = "style"'))
    data = home / "data" / "sideman"
    mine = make_tiny_model(data / "models" / "mine")
    other = make_tiny_model(data / "models" / "other", seed=2)
    make_tiny_adapter(data / "adapters" / "style", mine, state=True)
    make_tiny_adapter(data / "models" / "beside", mine, seed=2)
    make_tiny_adapter(data / "adapters" / "foreign", other)
    weights = make_tiny_adapter(data / "adapters" / "broken", mine) / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    running = Engine(home, "--preset", "mine")
    try:
        with Client(running) as client:
            client.until("ready")
        yield running
    finally:
        running.kill()


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    with Client(engine) as connected:
        yield connected
        connected.ask("/sideman/adapter", "", 0.0)


def music(client: Client, **keys: str) -> object:
    answer = client.request("continue", 1, seed=5, bars=1, **keys)
    assert answer.code == "done" and answer.notes
    return answer.notes


def test_an_adapter_changes_what_is_played_until_it_is_taken_off(client: Client) -> None:
    plain = music(client)
    said = client.ask("/sideman/adapter", "style", 1.0)
    assert said.args[1:] == ("style", 1.0)
    styled = music(client)
    assert styled != plain
    client.ask("/sideman/adapter", "style", 0.25)
    assert music(client) != styled
    client.ask("/sideman/adapter", "beside", 1.0)
    assert music(client) not in (plain, styled)
    client.ask("/sideman/adapter", "style", 1.0)
    assert music(client) == styled
    client.ask("/sideman/adapter", "style", 0.0)
    assert music(client) == plain
    client.ask("/sideman/adapter", "style", 1.0)
    client.ask("/sideman/adapter", "", 1.0)
    assert music(client) == plain


def test_a_preset_may_bring_its_adapter(client: Client) -> None:
    plain = music(client)
    client.ask("/sideman/adapter", "style", 1.0)
    styled = music(client)
    client.ask("/sideman/adapter", "", 1.0)
    assert music(client, preset="styled") == styled
    assert music(client) == plain
    client.ask("/sideman/preset", "styled")
    assert music(client) == styled
    client.ask("/sideman/preset", "mine")
    assert music(client) == plain


def test_a_take_says_what_it_was_made_with(engine: Engine, client: Client) -> None:
    client.ask("/sideman/adapter", "style", 0.5)
    answer = client.request("continue", 1, seed=5, bars=1)
    about = json.loads((engine.session / f"take-{answer.clip.take:04d}.json").read_text())
    data = engine.sessions.parent / "data" / "sideman"
    base = json.loads((data / "models/mine/model.json").read_text())["weights"]["sha256"]
    added = json.loads((data / "adapters/style/adapter.json").read_text())["weights"]["sha256"]
    assert about["model_hash"] == f"{base}+{added}*0.5"


def test_a_worker_that_dies_leaves_the_adapter_in_place(engine: Engine, client: Client) -> None:
    client.ask("/sideman/adapter", "style", 1.0)
    styled = music(client)
    engine.worker().kill()
    client.until("ready")
    assert music(client) == styled


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("nobody", "unknown-model", "nobody"),
        ("foreign", "not-allowed", "made for the model other"),
        ("broken", "bad-file", "SHA-256 differs"),
        ("../style", "unknown-model", "style"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    client: Client, name: str, code: str, words: str
) -> None:
    client.ask("/sideman/adapter", "style", 1.0)
    styled = music(client)
    fail = client.refusal("/sideman/adapter", name, 1.0)
    assert fail.code == code and words in str(fail.text)
    assert music(client) == styled


def test_models_lists_them(engine: Engine) -> None:
    home = engine.sessions.parent
    ran = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "models", "--json"],
        cwd=REPOSITORY,
        env=os.environ | {"XDG_DATA_HOME": str(home / "data")},
        capture_output=True,
        check=True,
        timeout=60,
    )
    listed = {(entry["name"], entry["kind"]) for entry in json.loads(ran.stdout)}
    assert {("mine", "midi"), ("style", "adapter"), ("beside", "adapter")} <= listed
