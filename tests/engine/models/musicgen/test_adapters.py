"""Adapters at run time, against PEFT's own merge."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.errors import Code, SidemanError
from engine.models.audio import Sampling
from engine.models.musicgen.model import MusicGen
from tests.support.peft_adapter import NAME, write

PEFT_WARNS = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture
def model(models: dict[int, Path]) -> MusicGen:
    """A model of this test's own, for its weights change."""
    return MusicGen.load(models[1])


def merged(source: Path, folder: Path) -> dict[str, torch.Tensor]:
    """The decoder that PEFT makes of both."""
    network = MusicGen.load(source).network
    whole = peft.PeftModel.from_pretrained(network, str(folder)).merge_and_unload()
    return {k: v for k, v in whole.state_dict().items() if not k.startswith("audio_encoder")}


def weights(model: MusicGen) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.network.state_dict().items()}


def greedy(model: MusicGen) -> torch.Tensor:
    stream = model.open(1, frames=40, sampling=Sampling(temperature=0))
    stream.prime(None, ["piano"], frames=40)
    while stream.remaining:
        stream.step()
    return stream.codes


@PEFT_WARNS
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2, "layers.1.fc1": 3}, "alpha_pattern": {"fc2": 3}},
        {"targets": r".*decoder.*\.(q_proj|fc1)"},
    ],
    ids=["dreambooth", "rslora", "patterns", "expression"],
)
def test_merged_as_peft_merges(
    config: dict[str, Any], model: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    folder = write(tmp_path / "dub", models[1], **config)
    adapter = model.adapters.load(folder)
    assert adapter.nbytes > 0 and model.adapters.resident == ("dub",)
    model.adapters.apply({"dub": 1.0})
    ours = weights(model)
    for name, tensor in merged(models[1], folder).items():
        assert torch.allclose(ours[name], tensor, atol=2e-6), name


@PEFT_WARNS
def test_taken_off_the_base_is_back_bit_by_bit(
    model: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    base, sounded = weights(model), greedy(model)
    write(tmp_path / "dub", models[1], seed=1)
    write(tmp_path / "jazz", models[1], seed=2, targets=["q_proj", "fc1"])
    for name in ("dub", "jazz"):
        model.adapters.load(tmp_path / name)
    blended = None
    for strengths in ({"dub": 1.0}, {"dub": 0.3, "jazz": 1.7}, {"jazz": 2.0}, {}) * 5:
        model.adapters.apply(strengths)
        assert model.adapters.strengths == strengths
        if len(strengths) == 2:
            blend = weights(model)
            assert blended is None or all(torch.equal(blended[k], v) for k, v in blend.items())
            blended = blend
    assert all(torch.equal(base[k], v) for k, v in weights(model).items())
    assert torch.equal(greedy(model), sounded)


@PEFT_WARNS
def test_strengths_add_up(model: MusicGen, models: dict[int, Path], tmp_path: Path) -> None:
    name = "decoder.model.decoder.layers.1.fc1.weight"
    base = weights(model)[name]
    apart = []
    for adapter, seed, strength in (("dub", 1, 0.5), ("jazz", 2, 1.5)):
        model.adapters.load(write(tmp_path / adapter, models[1], seed=seed))
        model.adapters.apply({adapter: strength})
        apart.append(weights(model)[name] - base)
    model.adapters.apply({"dub": 0.5, "jazz": 1.5})
    assert torch.allclose(weights(model)[name], base + apart[0] + apart[1], atol=1e-5)


@PEFT_WARNS
def test_a_stream_under_way_goes_on_with_the_new_weights(
    model: MusicGen, models: dict[int, Path], tmp_path: Path
) -> None:
    """The same buffers, so the same graph; keys and values of the prompt are made anew."""
    model.adapters.load(write(tmp_path / "dub", models[1]))
    stream = model.open(1, frames=60, sampling=Sampling(temperature=0))
    stream.prime(None, ["piano"])
    for _ in range(10):
        stream.step()
    slot, address = stream._slot, model.packed.layers[0].qkv.data_ptr()
    moment = stream.snapshot()
    plain = [stream.step() for _ in range(20)]
    stream.restore(moment)
    model.adapters.apply({"dub": 1.0})
    adapted = [stream.step() for _ in range(20)]
    assert stream._slot is slot and model.packed.layers[0].qkv.data_ptr() == address
    assert not torch.equal(torch.stack(plain), torch.stack(adapted))
    fresh = model.open(1, frames=60)
    fresh.prime(None, ["piano"])
    assert torch.equal(stream._buffers.text, fresh._buffers.text)
    model.adapters.unload("dub")
    stream.restore(moment)
    assert torch.equal(torch.stack([stream.step() for _ in range(20)]), torch.stack(plain))


def refused(model: MusicGen, folder: Path, **how: Any) -> SidemanError:
    before, version = weights(model), model.version
    with pytest.raises(SidemanError) as error:
        model.adapters.load(folder, **how)
    assert "\n" not in error.value.text
    assert all(torch.equal(before[k], v) for k, v in weights(model).items())
    assert model.version == version and model.adapters.resident == ()
    return error.value


@pytest.fixture(scope="module")
def saved(models: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("adapters") / "dub", models[1])


@pytest.fixture
def dub(saved: Path, tmp_path: Path) -> Path:
    """An adapter to spoil."""
    return shutil.copytree(saved, tmp_path / "dub")


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensors(folder: Path, change: Any) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_another_models_adapter_is_refused_by_both_names(model: MusicGen, dub: Path) -> None:
    change_config(dub, base_model_name_or_path="facebook/musicgen-melody")
    error = refused(model, dub)
    assert error.code == Code.NOT_ALLOWED
    assert "facebook/musicgen-melody" in error.text and NAME in error.text
    model.adapters.load(dub, any_base=True)


FC1 = "base_model.model.decoder.model.decoder.layers.0.fc1.lora_"
TABLE = "base_model.model.decoder.model.decoder.embed_tokens.1.lora_embedding_"


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda t: t.pop(f"{FC1}A.weight"), Code.BAD_FILE, "half"),
        (lambda t: t.pop(f"{TABLE}B"), Code.BAD_FILE, "half"),
        (lambda t: t.update(extra=torch.zeros(2, 2)), Code.BAD_FILE, "extra"),
        (
            lambda t: t.update({f"{FC1}magnitude_vector": torch.zeros(2, 2)}),
            Code.BAD_FILE,
            "magnitude",
        ),
        (
            lambda t: t.update({f"{FC1}A.weight": torch.zeros(4, 48)}),
            Code.NOT_ALLOWED,
            "[128, 48] there and [128, 32] here",
        ),
        (
            lambda t: t.update({f"{FC1}A.weight": torch.zeros(3, 32)}),
            Code.NOT_ALLOWED,
            "fc1",
        ),
        (
            lambda t: t.update(
                {
                    FC1.replace("0.fc1", "7.fc1") + "A.weight": torch.zeros(4, 32),
                    FC1.replace("0.fc1", "7.fc1") + "B.weight": torch.zeros(128, 4),
                }
            ),
            Code.NOT_ALLOWED,
            "layers.7.fc1",
        ),
        (
            lambda t: t.update({f"{FC1}A.weight": torch.full((4, 32), torch.nan)}),
            Code.BAD_FILE,
            "finite",
        ),
        (lambda t: t.clear(), Code.BAD_FILE, "no tensors"),
    ],
)
def test_every_tensor_has_its_place(
    change: Any, code: Code, says: str, model: MusicGen, dub: Path
) -> None:
    change_tensors(dub, change)
    error = refused(model, dub)
    assert error.code == code and says in error.text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"peft_type": "IA3"}, "IA3"),
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_heads"]}, "modules_to_save"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"r": 5}, "rank 5"),
        ({"lora_alpha": None}, "alpha"),
    ],
)
def test_what_cannot_be_merged_is_refused(
    change: dict[str, object], says: str, model: MusicGen, dub: Path
) -> None:
    change_config(dub, **change)
    error = refused(model, dub)
    assert error.code == Code.BAD_FILE and says in error.text


def test_files_that_are_missing_or_damaged_are_refused(model: MusicGen, dub: Path) -> None:
    path = dub / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    assert refused(model, dub).code == Code.BAD_FILE
    path.rename(path.with_suffix(".bin"))
    assert "sideman train import" in refused(model, dub).text
    (dub / "adapter_config.json").unlink()
    assert refused(model, dub).code == Code.UNKNOWN_MODEL


def test_strengths_are_checked_before_anything_changes(model: MusicGen, dub: Path) -> None:
    before = weights(model)
    model.adapters.load(dub)
    for strengths in (
        {"dub": 2.1},
        {"dub": -0.1},
        {"dub": float("nan")},
        {"dub": 1.0, "jazz": 1.0},
    ):
        with pytest.raises(SidemanError):
            model.adapters.apply(strengths)
    assert all(torch.equal(before[k], v) for k, v in weights(model).items())


def test_an_adapter_loaded_anew_replaces_the_old_one(model: MusicGen, dub: Path) -> None:
    base = weights(model)
    model.adapters.load(dub)
    model.adapters.apply({"dub": 1.0})
    change_tensors(dub, lambda t: t.update({k: 2 * v for k, v in t.items()}))
    model.adapters.load(dub)
    assert model.adapters.strengths == {}
    assert all(torch.equal(base[k], v) for k, v in weights(model).items())
