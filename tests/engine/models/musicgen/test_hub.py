"""Fetching from a hub: what is taken, what is said before, and what is left where it fails."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants, file_download

from engine.errors import Code, SidemanError
from engine.models import store
from engine.models.folder import read_info
from engine.models.musicgen import hub as hubs
from engine.models.musicgen.hub import Offer
from engine.models.musicgen.model import MusicGen
from tests.support import audiocraft_layout as layout
from tests.support import hub as fake
from tests.support.hub import Hub

NAME = "facebook/musicgen-small"
T5 = "google-t5/t5-base"
CODEC = "facebook/encodec_32khz"
WEIGHTS = "model.safetensors"


def content(folder: Path) -> dict[str, bytes]:
    """A folder's files, without what a hub has not."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "model.json"
    }


@pytest.fixture
def hub(models: dict[int, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    more = {"pytorch_model.bin": b"pickled", "state_dict.bin": b"x", "notes/a.txt": b"-"}
    with fake.serve({NAME: content(models[1]) | more}) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
        yield hub


def fetch(hub: Hub, name: str = NAME, **how: object) -> Path:
    return hubs.fetch(name, endpoint=hub.endpoint, **how)  # type: ignore[arg-type]


def refused(hub: Hub, name: str = NAME) -> SidemanError:
    with pytest.raises(SidemanError) as error:
        fetch(hub, name)
    assert "\n" not in error.value.text
    assert not any("musicgen" in name for name in store.names())
    return error.value


def left() -> list[str]:
    """What is among the user's models."""
    home = store.user_folder()
    return sorted(path.name for path in home.iterdir()) if home.exists() else []


def test_what_is_needed_is_installed_under_its_last_name(hub: Hub) -> None:
    offers: list[Offer] = []
    told: list[float] = []
    folder = fetch(hub, offered=offers.append, progress=told.append)
    assert folder == store.user_folder() / "musicgen-small" == store.find("musicgen-small")
    files = sorted(path.name for path in folder.iterdir())
    assert files == ["config.json", "model.json", WEIGHTS, "tokenizer.json"]
    (offer,) = offers
    assert (offer.repository, offer.licence) == (NAME, "CC-BY-NC-4.0")
    assert offer.size_bytes == sum((folder / f).stat().st_size for f in files if f != "model.json")
    assert told == sorted(told) and told[-1] == 1
    info = read_info(folder)
    assert (info.name, info.licence) == ("musicgen-small", "CC-BY-NC-4.0")
    assert MusicGen.load(folder).licence == "CC-BY-NC-4.0"
    assert left() == ["musicgen-small"]
    with pytest.raises(SidemanError, match="is there already"):
        fetch(hub)


def test_the_licence_is_the_cards_where_it_names_one(hub: Hub) -> None:
    hub.licence = "apache-2.0"
    assert read_info(fetch(hub)).licence == "Apache-2.0"


def test_without_a_card_it_is_the_published_weights(hub: Hub) -> None:
    hub.licence = None
    assert read_info(fetch(hub)).licence == "CC-BY-NC-4.0"


def test_it_goes_on_where_it_was_interrupted(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    hub.breaks_after = 700_000
    error = refused(hub)
    assert error.code is Code.UNKNOWN_MODEL and "again" in error.text
    assert left() == [".fetching-musicgen-small"]
    hub.breaks_after, hub.down = None, False
    hub.ranges.clear()
    folder = fetch(hub)
    assert hub.ranges == ["bytes=700000-"]
    assert MusicGen.load(folder).channels == 1
    assert left() == ["musicgen-small"]


def test_a_tokenizer_that_is_missing_is_t5s(hub: Hub, models: dict[int, Path]) -> None:
    del hub.repositories[NAME]["tokenizer.json"]
    hub.repositories[T5] = {"tokenizer.json": (models[1] / "tokenizer.json").read_bytes()}
    MusicGen.load(fetch(hub))


def test_shards_are_all_fetched(hub: Hub, models: dict[int, Path], tmp_path: Path) -> None:
    MusicGen.load(models[1]).network.save_pretrained(tmp_path / "split", max_shard_size="500KB")
    files = hub.repositories[NAME]
    del files[WEIGHTS]
    files |= {
        path.name: path.read_bytes()
        for path in (tmp_path / "split").iterdir()
        if "safetensors" in path.name
    }
    folder = fetch(hub)
    assert len(read_info(folder).weights.parts) > 2
    MusicGen.load(folder)


def test_an_export_of_audiocraft_brings_text_encoder_and_codec(
    hub: Hub, mono: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    exported = layout.write(tmp_path, mono, models[1])
    hub.repositories[T5] = content(exported / "t5-base") | {"pytorch_model.bin": b"pickled"}
    shutil.rmtree(exported / "t5-base")
    layout.point(exported, CODEC)
    MusicGen.load(models[1]).codec.save_pretrained(tmp_path / "codec")
    hub.repositories[CODEC] = content(tmp_path / "codec")
    hub.repositories["thepatch/gary_2.0"] = content(exported)
    folder = fetch(hub, "thepatch/gary_2.0")
    assert folder.name == "gary_2-0"
    assert sorted(path.name for path in folder.iterdir()) == [
        "compression_state_dict.bin", "encodec_32khz", "model.json", "state_dict.bin", "t5-base",
    ]  # fmt: skip
    assert MusicGen.load(folder).codebooks == mono.codebooks


def test_unknown_gated_and_impossible_names(hub: Hub) -> None:
    for name in ("nobody/nothing", "a/b/c", "no name/at all"):
        error = refused(hub, name)
        assert error.code is Code.UNKNOWN_MODEL and "no model" in error.text
    hub.gated.add("me/mine")
    error = refused(hub, "me/mine")
    assert error.code is Code.NOT_ALLOWED and "terms" in error.text
    assert left() == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("facebook/musicgen-melody-large", "melody"),
        ("facebook/musicgen-stereo-melody", "melody"),
        ("facebook/musicgen-style", "Style"),
        ("facebook/magnet-small-10secs", "MAGNeT"),
        ("facebook/jasco-chords-drums-400M", "JASCO"),
        ("facebook/audiogen-medium", "AudioGen"),
        ("facebook/melodyflow-t24-30secs", "MelodyFlow"),
    ],
)
def test_published_families_that_are_not_played_are_refused_unasked(
    hub: Hub, name: str, says: str
) -> None:
    error = refused(hub, name)
    assert error.code is Code.UNKNOWN_MODEL and says in error.text
    assert hub.asked == []


def test_a_fine_tune_with_a_melody_is_refused_before_its_weights(hub: Hub) -> None:
    files = hub.repositories[NAME]
    old, new = (f'"model_type": "{kind}"'.encode() for kind in ("musicgen", "musicgen_melody"))
    melody = files["config.json"].replace(old, new)
    hub.repositories["me/drums"] = files | {"config.json": melody}
    assert "melody" in refused(hub, "me/drums").text
    assert not any(path.endswith(WEIGHTS) for path in hub.asked)
    assert left() == []


def test_pickled_weights_are_refused_before_they_are_fetched(hub: Hub) -> None:
    files = hub.repositories[NAME]
    hub.repositories["me/old"] = {n: files[n] for n in ("config.json", "pytorch_model.bin")}
    error = refused(hub, "me/old")
    assert error.code is Code.BAD_FILE and "pytorch_model.bin" in error.text
    assert not any(path.endswith(".bin") for path in hub.asked)
    hub.repositories["me/text"] = {"README.md": b"# nothing"}
    assert refused(hub, "me/text").code is Code.UNKNOWN_MODEL
    assert left() == []


def test_what_comes_damaged_is_not_installed(hub: Hub) -> None:
    hub.damages = True
    error = refused(hub)
    assert error.code is Code.BAD_FILE and "again" in error.text
    assert left() == []


def test_no_hub_is_one_clear_line(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SidemanError, match="can't be fetched now") as error:
        hubs.fetch(NAME, endpoint="http://127.0.0.1:1")
    assert error.value.code is Code.UNKNOWN_MODEL and "\n" not in error.value.text
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SidemanError, match="HF_HUB_OFFLINE"):
        fetch(hub)
    assert left() == []


def test_a_full_disk_is_said_before(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(os.sep)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    error = refused(hub)
    assert error.code is Code.NOT_ALLOWED and "GiB are free" in error.text
    assert not any(path.endswith(WEIGHTS) for path in hub.asked)
