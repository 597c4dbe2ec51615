"""Folders in audiocraft's layout: the same network comes out, or a reason why not."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import Code, SidemanError
from engine.models.audio import Sampling
from engine.models.musicgen.model import MusicGen
from tests.support import audiocraft_layout as layout


@pytest.mark.parametrize("channels", [1, 2])
def test_the_same_model_comes_back(
    channels: int, mono: MusicGen, stereo: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    model = mono if channels == 1 else stereo
    back = MusicGen.load(layout.write(tmp_path, model, models[channels]))
    theirs, ours = model.network.state_dict(), back.network.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    configs = [one.network.config.audio_encoder.to_diff_dict() for one in (model, back)]
    assert configs[0] | {"dtype": None} == configs[1] | {"dtype": None}
    made = []
    for one in (model, back):
        stream = one.open(1, frames=30, sampling=Sampling(temperature=0))
        stream.prime(None, ["piano"], frames=30)
        while stream.remaining:
            stream.step()
        made.append(stream.codes)
    assert torch.equal(*made)


def test_settings_decide_where_the_tensors_do_not(
    mono: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    def constant(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        said["seanet"]["pad_mode"] = "constant"

    folder = layout.write(tmp_path, mono, models[1], change_codec=constant)
    assert MusicGen.load(folder).network.config.audio_encoder.pad_mode == "constant"


def test_what_settings_leave_unsaid_is_as_audiocraft_has_it(
    mono: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    def silent(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        for name in ("pad_mode", "true_skip", "causal"):
            del said["seanet"][name]

    config = MusicGen.load(
        layout.write(tmp_path, mono, models[1], change_codec=silent)
    ).network.config.audio_encoder
    assert config.pad_mode == "reflect"
    assert not config.use_conv_shortcut and not config.use_causal_conv


@pytest.mark.parametrize("what", ["books", "bins"])
def test_a_codec_of_other_codes_is_refused(
    what: str, mono: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    def other(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        if what == "books":
            said["rvq"]["n_q"] = 3
            for name in [name for name in tensors if ".layers.3._codebook" in name]:
                del tensors[name]
            return
        said["rvq"]["bins"] = 256
        for name, tensor in tensors.items():
            if "_codebook" in name and len(tensor) == 512:
                tensors[name] = tensor[:256].clone()

    error = refused(layout.write(tmp_path, mono, models[1], change_codec=other))
    assert error.code == Code.BAD_FILE and "codec" in error.text
    assert ("3 of 512" if what == "books" else "4 of 256") in error.text


@pytest.mark.parametrize("exported", [True, False], ids=["transformers", "audiocraft"])
def test_a_pointer_is_followed_to_a_folder_beside(
    exported: bool, mono: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    folder = layout.write(tmp_path, mono, models[1])
    codec = folder / "compression_state_dict.bin"
    beside = tmp_path / "encodec_32khz"
    beside.mkdir()
    if exported:
        mono.codec.save_pretrained(beside)
    else:
        shutil.copy(codec, beside)
    torch.save({"pretrained": "facebook/encodec_32khz"}, codec)
    state = MusicGen.load(folder).codec.state_dict()
    assert all(torch.equal(state[k], v) for k, v in mono.codec.state_dict().items())


def refused(folder: Path) -> SidemanError:
    with pytest.raises(SidemanError) as error:
        MusicGen.load(folder)
    assert "\n" not in error.value.text
    return error.value


def test_a_pointer_to_nowhere_says_what_is_needed(
    mono: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    folder = layout.write(tmp_path, mono, models[1])
    torch.save({"pretrained": "facebook/encodec_32khz"}, folder / "compression_state_dict.bin")
    error = refused(folder)
    assert error.code == Code.UNKNOWN_MODEL and "facebook/encodec_32khz" in error.text


def test_without_a_text_encoder_it_says_which(
    mono: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    folder = layout.write(tmp_path, mono, models[1])
    shutil.rmtree(folder / "t5-base")
    error = refused(folder)
    assert error.code == Code.UNKNOWN_MODEL and "t5-base" in error.text


def with_melody(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    said["conditioners"]["self_wav"] = {"model": "chroma_stem"}
    said["fuser"]["prepend"] = ["self_wav", "description"]


def without_text(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    said["conditioners"] = None


def flattened(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    said["codebooks_pattern"]["delay"]["flatten_first"] = 2


def without_one(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    del tensors["linears.2.weight"]


def with_one_more(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    tensors["transformer.layers.9.norm1.weight"] = torch.zeros(32)


def of_another_shape(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    tensors["out_norm.weight"] = torch.zeros(31)


def not_finite(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    tensors["out_norm.weight"][3] = torch.nan


def with_biases(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    said["transformer_lm"]["bias_ff"] = True


def of_other_delays(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    said["codebooks_pattern"]["delay"]["delays"] = [0, 1, 2, 4]


def of_words(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    said["transformer_lm"]["dim"] = "wide"


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (with_melody, Code.UNKNOWN_MODEL, "musicgen-melody"),
        (without_text, Code.BAD_FILE, "no text"),
        (flattened, Code.BAD_FILE, "flatten_first"),
        (without_one, Code.BAD_FILE, "lm_heads.2.weight"),
        (with_one_more, Code.BAD_FILE, "layers.9.self_attn_layer_norm.weight"),
        (of_another_shape, Code.BAD_FILE, "model.decoder.layer_norm.weight is [31]"),
        (not_finite, Code.BAD_FILE, "not finite"),
        (with_biases, Code.BAD_FILE, "transformer_lm.bias_ff"),
        (of_other_delays, Code.BAD_FILE, "delays"),
        (of_words, Code.BAD_FILE, "transformer_lm.dim"),
    ],
)
def test_what_cannot_be_played_is_refused_by_name(
    change: layout.Change,
    code: Code,
    says: str,
    mono: MusicGen,
    models: dict[int, Path],
    tmp_path: Path,
) -> None:
    error = refused(layout.write(tmp_path, mono, models[1], change=change))
    assert error.code == code and says in error.text


def test_a_codec_of_another_kind_is_refused(
    mono: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    def dac(said: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        said["compression_model"] = "dac"

    error = refused(layout.write(tmp_path, mono, models[1], change_codec=dac))
    assert error.code == Code.BAD_FILE and "compression_model" in error.text


def test_objects_are_never_unpickled(
    mono: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    folder = layout.write(tmp_path, mono, models[1])
    torch.save({"xp.cfg": argparse.Namespace(), "best_state": {}}, folder / "state_dict.bin")
    error = refused(folder)
    assert error.code == Code.BAD_FILE
    assert "unpickled" in error.text and "export" in error.text


@pytest.mark.parametrize(
    "package",
    [
        {"best_state": {}},
        {"xp.cfg": {"dim": 3}, "best_state": {}},
        {"xp.cfg": "a: [", "best_state": {}},
        {"xp.cfg": "3", "best_state": {}},
        {"xp.cfg": "a: 3", "best_state": {"b": "c"}},
        {"xp.cfg": "a: ${a}\nlm_model: ${lm_model}", "best_state": {}},
        ["best_state"],
    ],
)
def test_an_export_that_is_none_is_refused(package: object, tmp_path: Path) -> None:
    torch.save(package, tmp_path / "state_dict.bin")
    assert refused(tmp_path).code in (Code.BAD_FILE, Code.UNKNOWN_MODEL)


def test_a_file_cut_short_is_refused(
    mono: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    folder = layout.write(tmp_path, mono, models[1])
    path = folder / "state_dict.bin"
    path.write_bytes(path.read_bytes()[:5000])
    assert refused(folder).code == Code.BAD_FILE
    path.write_bytes(b"")
    assert refused(folder).code == Code.BAD_FILE


def test_a_raw_checkpoint_of_training_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.th").write_bytes(b"anything")
    error = refused(tmp_path)
    assert error.code == Code.BAD_FILE and "checkpoint.th" in error.text
