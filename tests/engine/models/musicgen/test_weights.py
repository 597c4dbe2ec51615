"""Folders in transformers' layout: what loads, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.errors import Code, SidemanError
from engine.models.musicgen.model import MusicGen

WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(models: dict[int, Path], tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(models[1], tmp_path / "musicgen-small")


def refused(folder: Path, **how: Any) -> SidemanError:
    with pytest.raises(SidemanError) as error:
        MusicGen.load(folder, **how)
    assert "\n" not in error.value.text
    return error.value


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_it_says_of_itself(mono: MusicGen, stereo: MusicGen) -> None:
    assert (mono.name, mono.channels, mono.codebooks) == ("musicgen-tiny-random", 1, 4)
    assert (stereo.name, stereo.channels, stereo.codebooks) == ("musicgen-stereo-tiny-random", 2, 8)
    assert (mono.sample_rate, mono.frame_rate) == (32_000, 50)
    assert mono.codec.config.num_quantizers == 4


def test_the_licence_is_the_descriptions_or_the_model_cards(folder: Path) -> None:
    assert MusicGen.load(folder).licence == "Apache-2.0"
    (folder / "model.json").unlink()
    assert MusicGen.load(folder).licence == "CC-BY-NC-4.0", "that of all that were published"
    (folder / "README.md").write_text("---\ntags:\n- x\nlicense: apache-2.0\n---\n# Model\n")
    assert MusicGen.load(folder).licence == "Apache-2.0"


def test_names_of_older_files_load(folder: Path, mono: MusicGen) -> None:
    """Files as they lie on the hub: norms of weights by their old names, a stored table."""
    old = {
        re.sub(
            r"parametrizations\.weight\.original(\d)$", lambda m: "weight_" + "gv"[int(m[1])], k
        ): v
        for k, v in load_file(folder / WEIGHTS).items()
    }
    assert any(name.endswith("weight_g") for name in old)
    old["decoder.model.decoder.embed_positions.weights"] = torch.zeros(2048, 32)
    save_file(old, folder / WEIGHTS, metadata={"format": "pt"})
    state = MusicGen.load(folder).network.state_dict()
    assert all(torch.equal(state[k], v) for k, v in mono.network.state_dict().items())


def test_weights_in_several_files_load(models: dict[int, Path], tmp_path: Path) -> None:
    network = MusicGen.load(models[1]).network
    folder = shutil.copytree(models[1], tmp_path / "split")
    (folder / WEIGHTS).unlink()
    network.save_pretrained(folder, max_shard_size="500KB")
    assert (folder / "model.safetensors.index.json").is_file()
    MusicGen.load(folder)


def test_the_tokenizer_cuts_nothing(folder: Path) -> None:
    path = folder / "tokenizer.json"
    said = json.loads(path.read_text())
    said["truncation"] = {
        "direction": "Right",
        "max_length": 5,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    path.write_text(json.dumps(said))
    assert len(MusicGen.load(folder).text.tokens("a long prompt")) == 12


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop("decoder.lm_heads.1.weight"), "decoder.lm_heads.1.weight"),
        (lambda t: t.update({"decoder.more.weight": torch.zeros(3)}), "decoder.more.weight"),
        (lambda t: t.update({"enc_to_dec_proj.bias": torch.zeros(3)}), "enc_to_dec_proj.bias"),
        (
            lambda t: t.update({"enc_to_dec_proj.bias": torch.full((32,), torch.inf)}),
            "enc_to_dec_proj.bias",
        ),
    ],
    ids=["missing", "surplus", "shape", "not finite"],
)
def test_every_tensor_has_its_place(folder: Path, change: Any, says: str) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    error = refused(folder)
    assert error.code == Code.BAD_FILE and says in error.text


def test_pickled_weights_are_refused_with_the_way_out(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    error = refused(folder)
    assert error.code == Code.BAD_FILE
    assert "pytorch_model.bin" in error.text and "sideman train import" in error.text


def test_melody_is_refused_by_name(folder: Path) -> None:
    change_config(folder, model_type="musicgen_melody")
    error = refused(folder)
    assert error.code == Code.UNKNOWN_MODEL and "melody" in error.text


def test_another_family_is_refused(folder: Path) -> None:
    change_config(folder, model_type="bert")
    error = refused(folder)
    assert error.code == Code.UNKNOWN_MODEL and "bert" in error.text


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", WEIGHTS])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff" * 40])
def test_damaged_files_are_refused(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    assert refused(folder).code == Code.BAD_FILE


def test_a_file_cut_short_is_refused(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])
    assert refused(folder).code == Code.BAD_FILE


@pytest.mark.parametrize("name", ["tokenizer.json", WEIGHTS])
def test_missing_files_are_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    error = refused(folder)
    assert error.code == Code.BAD_FILE and name in error.text


def test_no_model_is_an_unknown_one(tmp_path: Path) -> None:
    assert refused(tmp_path).code == Code.UNKNOWN_MODEL
    assert refused(tmp_path / "nowhere").code == Code.UNKNOWN_MODEL


def test_an_unknown_precision_is_refused(folder: Path) -> None:
    assert refused(folder, precision="int3").code == Code.BAD_ARGUMENTS
