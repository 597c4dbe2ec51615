"""Models that are described, made and copied: whole or not at all, and without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import Code, SidemanError
from engine.models import store
from engine.models.folder import digest, is_model, read_info
from engine.models.musicgen import describe, installing
from engine.models.musicgen.known import LICENCE, TINY, local_name
from engine.models.musicgen.model import MusicGen
from tests.support import audiocraft_layout as layout

WEIGHTS = "model.safetensors"
SIZES = {
    "layers": 2, "hidden": 32, "heads": 4, "ffn": 128, "codebooks": 4, "channels": 1, "card": 512,
    "sample_rate": 32_000, "frame_rate": 50,
}  # fmt: skip


@pytest.fixture
def bare(models: dict[int, Path], tmp_path: Path) -> Path:
    """A folder as it comes from the hub."""
    folder = shutil.copytree(models[1], tmp_path / "mine" / "musicgen-small")
    (folder / "model.json").unlink()
    return folder


@pytest.fixture
def exported(mono: MusicGen, models: dict[int, Path], tmp_path: Path) -> Path:
    """A folder as audiocraft leaves it."""
    (tmp_path / "theirs").mkdir()
    return layout.write(tmp_path / "theirs", mono, models[1])


def test_a_folder_from_the_hub_is_described(bare: Path, models: dict[int, Path]) -> None:
    info = read_info(bare)
    assert (info.name, info.family, info.kind) == ("musicgen-small", "musicgen", "audio")
    assert info.licence == LICENCE
    assert info.weights.sha256 == digest(bare / WEIGHTS)
    assert SIZES.items() <= info.sizes.items()
    tensors = MusicGen.load(bare).network.state_dict().values()
    own = {tensor.data_ptr(): tensor.numel() for tensor in tensors}
    assert info.sizes["parameters"] == sum(own.values())
    assert read_info(models[1]).sizes == info.sizes
    assert read_info(models[1]).licence == "Apache-2.0"
    describe.verify(bare, info)
    with (bare / WEIGHTS).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    with pytest.raises(SidemanError, match="SHA-256"):
        describe.verify(bare, info)


def test_an_export_of_audiocraft_is_described(exported: Path) -> None:
    info = read_info(exported)
    assert info.sizes == SIZES
    assert info.licence == LICENCE
    assert [part.file for part in info.weights.parts] == [
        "state_dict.bin", "compression_state_dict.bin",
    ]  # fmt: skip
    assert info.weights.dtype == "float32"


def test_half_precision_is_seen(mono: MusicGen, models: dict[int, Path], tmp_path: Path) -> None:
    def halve(said: object, tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: tensor.half() for name, tensor in tensors.items()})

    folder = layout.write(tmp_path, mono, models[1], change=halve)
    assert read_info(folder).weights.dtype == "float16"


def test_shards_are_named_each_and_known_as_one(bare: Path, tmp_path: Path) -> None:
    network = MusicGen.load(bare).network
    (bare / WEIGHTS).unlink()
    network.save_pretrained(bare, max_shard_size="500KB")
    weights = read_info(bare).weights
    assert len(weights.parts) > 2
    assert all(digest(bare / part.file) == part.sha256 for part in weights.parts)
    copied = installing.copy(bare)
    assert read_info(copied).weights == weights
    MusicGen.load(copied)
    index = bare / "model.safetensors.index.json"
    said = json.loads(index.read_text())
    said["weight_map"] = dict.fromkeys(said["weight_map"], "../elsewhere.safetensors")
    index.write_text(json.dumps(said))
    with pytest.raises(SidemanError) as error:
        read_info(bare)
    assert error.value.code is Code.BAD_FILE


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"model_type": "musicgen_melody"}, Code.UNKNOWN_MODEL, "melody"),
        ({"decoder": None}, Code.BAD_FILE, "decoder"),
        ({"audio_encoder": {"upsampling_ratios": "8"}}, Code.BAD_FILE, "no numbers"),
    ],
)
def test_what_is_not_played_is_refused_unloaded(
    bare: Path, change: dict[str, object], code: Code, says: str
) -> None:
    path = bare / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SidemanError, match=says) as error:
        read_info(bare)
    assert error.value.code is code


@pytest.mark.parametrize(
    ("place", "setting", "says"),
    [
        ("fuser", {"prepend": ["self_wav", "description"]}, "melody"),
        ("conditioners", {"self_wav": {"model": "chroma_stem"}}, "melody"),
        ("conditioners", {"self_wav": {"model": "style"}}, "MusicGen-Style"),
        ("conditioners", {"chords": {}, "drums": {}, "melody": {}}, "hears chords, drums, melody"),
        ("lm_model", "transformer_lm_magnet", "MAGNeT"),
    ],
)
def test_other_families_out_of_audiocraft_are_refused_unloaded(
    mono: MusicGen, models: dict[int, Path], tmp_path: Path, place: str, setting: Any, says: str
) -> None:
    def other(said: dict[str, Any], tensors: object) -> None:
        said[place] = said[place] | setting if isinstance(setting, dict) else setting

    folder = layout.write(tmp_path, mono, models[1], change=other)
    with pytest.raises(SidemanError, match=says) as error:
        read_info(folder)
    assert error.value.code is Code.UNKNOWN_MODEL


def test_a_checkpoint_of_a_training_run_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.th").write_bytes(b"pickled")
    assert is_model(tmp_path)
    with pytest.raises(SidemanError, match=r"checkpoint\.th.*export_lm"):
        read_info(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x80\x04N."])
def test_a_damaged_export_is_refused(exported: Path, content: bytes) -> None:
    (exported / "state_dict.bin").write_bytes(content)
    with pytest.raises(SidemanError) as error:
        read_info(exported)
    assert error.value.code is Code.BAD_FILE


def test_an_export_with_objects_in_it_is_neither_run_nor_taken(exported: Path) -> None:
    told = {"xp.cfg": Namespace(lm_model="transformer_lm"), "best_state": {}}
    torch.save(told, exported / "state_dict.bin")
    with pytest.raises(SidemanError, match="export_lm") as error:
        installing.copy(exported)
    assert error.value.code is Code.BAD_FILE


def test_a_path_is_taken_with_or_without_a_description(bare: Path, exported: Path) -> None:
    assert store.resolve(str(bare)) == bare
    assert store.resolve(str(exported)) == exported
    with pytest.raises(SidemanError):
        store.resolve(str(bare.parent))


def test_tiny_models_are_found_before_they_are_made() -> None:
    name = TINY[1]
    assert store.can_be_made(name) and not store.can_be_made("musicgen-small")
    folder = store.find(name)
    assert not folder.exists() and name not in store.names()
    planned = read_info(folder)
    assert (planned.kind, planned.licence, planned.weights.sha256) == ("audio", "Apache-2.0", "")
    assert installing.make(name) == folder
    made = read_info(folder)
    assert planned.sizes.items() <= made.sizes.items()
    assert name in store.names() and store.find(name) == folder
    assert installing.make(name) == folder
    assert sorted(path.name for path in folder.parent.iterdir()) == [name]


def test_several_may_make_one_at_once() -> None:
    with ThreadPoolExecutor(4) as threads:
        (folder,) = {*threads.map(installing.make, [TINY[2]] * 4)}
    assert MusicGen.load(folder).channels == 2
    assert [path.name for path in folder.parent.iterdir()] == [TINY[2]]


def test_a_half_made_one_never_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.models.musicgen import tiny

    def fail(folder: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(tiny, "describe", fail)
    with pytest.raises(OSError, match="disk full"):
        installing.make(TINY[1])
    assert not any(store.user_folder().iterdir())


def test_other_names_are_not_made() -> None:
    with pytest.raises(SidemanError) as error:
        installing.make("musicgen-small")
    assert error.value.code is Code.UNKNOWN_MODEL


def test_published_models_say_how_to_get_them() -> None:
    with pytest.raises(SidemanError, match="sideman models get facebook/musicgen-small") as error:
        store.find("musicgen-small")
    assert error.value.code is Code.UNKNOWN_MODEL


def test_a_copy_has_all_that_is_needed_and_no_more(exported: Path) -> None:
    (exported / "notes.txt").write_text("not needed")
    beside = exported.parent / "t5-base"
    (exported / "t5-base").rename(beside)
    (beside / "pytorch_model.bin").write_bytes(b"not needed")
    told: list[float] = []
    folder = installing.copy(exported, told.append)
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == [
        "compression_state_dict.bin", "model.json", "state_dict.bin",
        "t5-base/config.json", "t5-base/model.safetensors", "t5-base/tokenizer.json",
    ]  # fmt: skip
    assert told == sorted(told) and told[-1] == 1.0
    assert MusicGen.load(folder).name == "exported"
    with pytest.raises(SidemanError, match="is there already"):
        installing.copy(exported)


def test_a_copy_without_its_text_encoder_leaves_nothing(exported: Path) -> None:
    shutil.rmtree(exported / "t5-base")
    with pytest.raises(SidemanError, match="t5-base"):
        installing.copy(exported)
    assert not store.user_folder().exists() or not any(store.user_folder().iterdir())


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("facebook/musicgen-small", "musicgen-small"),
        ("thepatch/vanya_ai_dnb_0.1", "vanya_ai_dnb_0-1"),
        ("/home/me/my model/", "my-model"),
        ("///", "model"),
    ],
)
def test_names_of_here(there: str, here: str) -> None:
    assert local_name(there) == here


def test_describing_imports_no_torch(bare: Path, exported: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.models.folder import read_info\n"
        "for folder in sys.argv[1:]: read_info(Path(folder))\n"
        "assert not {'torch', 'transformers', 'huggingface_hub'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, str(bare), str(exported)], check=True)
