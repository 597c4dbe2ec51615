"""``sideman models`` and ``models get``: what is listed, made, copied, fetched and refused."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge import cli
from engine.models import store
from engine.models.musicgen.known import TINY
from tests.support import hub as fake
from tests.support.hub import Hub

Lines = Callable[..., tuple[int, str, str]]

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from engine.models.musicgen import tiny

    return tiny.write(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Lines:
    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main(["models", *words])
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def hub(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants, file_download

    files = {path.name: path.read_bytes() for path in tiny.iterdir() if path.name != "model.json"}
    with fake.serve({"facebook/musicgen-small": files}) as hub:
        template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
        yield hub


def rows(run: Lines) -> dict[str, dict[str, Any]]:
    status, out, _ = run("--json")
    assert status == 0
    return {row["name"]: row for row in json.loads(out)}


def test_the_tiny_ones_are_listed_and_made(run: Lines) -> None:
    name = TINY[1]
    before = rows(run)[name]
    assert (before["kind"], before["licence"], before["installed"]) == (
        "audio",
        "Apache-2.0",
        False,
    )
    assert "made when it is first played" in run()[1]
    status, out, _ = run("get", name)
    assert status == 0 and Path(out.strip()) == store.find(name)
    after = rows(run)[name]
    assert after["installed"] and after["size_bytes"] > 1 << 20
    assert run("get", name)[1] == out


def test_a_published_model_is_fetched_with_its_licence(run: Lines, hub: Hub) -> None:
    status, out, err = run("get", "facebook/musicgen-small")
    assert status == 0 and Path(out.strip()) == store.find("musicgen-small")
    assert "facebook/musicgen-small: CC-BY-NC-4.0, not for commercial use; 1.8 MiB" in err
    assert rows(run)["musicgen-small"]["licence"] == "CC-BY-NC-4.0"
    hub.asked.clear()
    status, out, _ = run("get", "musicgen-small", "--json")
    assert status == 0 and json.loads(out)["licence"] == "CC-BY-NC-4.0"
    assert run("get", "facebook/musicgen-small")[0] == 0
    assert hub.asked == [], "what is here is not asked for again"


def test_its_short_name_will_do(run: Lines, hub: Hub) -> None:
    assert run("get", "musicgen-small")[0] == 0


def test_a_folder_is_copied(run: Lines, tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "my.loops")
    (folder / "model.json").unlink()
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    status, out, err = run("get", str(folder))
    assert status == 0 and Path(out.strip()) == store.user_folder() / "my-loops"
    assert "my.loops: MIT" in err
    assert rows(run)["my-loops"]["licence"] == "MIT"
    status, _, err = run("get", str(folder))
    assert status == 1 and "is there already" in err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nobody/nothing", "no model 'nobody/nothing'"),
        ("facebook/musicgen-melody", "melody"),
        ("musicgen-smal", "there is no model"),
    ],
)
def test_what_cannot_be_had_is_one_line(run: Lines, hub: Hub, name: str, says: str) -> None:
    status, out, err = run("get", name)
    assert status == 1 and not out
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err
    assert not store.user_folder().exists() or not any(store.user_folder().iterdir())


def test_offline_is_one_line(run: Lines, hub: Hub) -> None:
    hub.down = True
    status, _, err = run("get", "facebook/musicgen-small")
    assert status == 1 and err.count("\n") == 1 and "can't be fetched now" in err


def test_adapters_and_concepts_stand_beside_their_model(run: Lines, tiny: Path) -> None:
    np = pytest.importorskip("numpy")
    from engine.models.musicgen import concepts

    home = store.user_folder().parent
    shutil.copytree(tiny, home / "models" / "musicgen-tiny-random")
    peft = home / "adapters" / "dub"
    peft.mkdir(parents=True)
    base = {"base_model_name_or_path": "facebook/musicgen-tiny-random", "r": 8, "lora_alpha": 16}
    (peft / "adapter_config.json").write_text(json.dumps(base))
    vectors = {"dusk": np.ones((2, 24), np.float32)}
    about = concepts.describe("night", "musicgen-tiny-random", vectors, licence="CC0-1.0")
    concepts.write(home / "concepts" / "night", about, vectors)
    listed = rows(run)
    assert listed["night"]["kind"] == "concept"
    assert listed["night"]["licence"] == "CC0-1.0"
    assert "<dusk>" in run()[1]
    assert listed["dub"]["licence"] == "CC-BY-NC-4.0"
    model = listed["musicgen-tiny-random"]
    assert (model["adapters"], model["concepts"]) == (["dub"], ["night"])


def test_listing_is_light(run: Lines) -> None:
    import subprocess

    code = (
        "import sys; from bridge import cli; assert cli.main(['models']) == 0; "
        "assert not {'torch', 'transformers', 'huggingface_hub'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
