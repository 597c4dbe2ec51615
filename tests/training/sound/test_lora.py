"""Corrections go where they are meant to, and nowhere else."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

import peft
import torch

from engine.errors import SidemanError
from engine.models.musicgen import tiny
from engine.models.musicgen.model import MusicGen
from training.sound.audio_config import TARGETS, targets
from training.sound.lora import Lora, matrices


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("models"))


@pytest.fixture
def model(base):
    return MusicGen.load(base)


def corrected(network, target, rank=4, **changes):
    settings = {"alpha": 8.0, "dropout": 0.0, **changes}
    return Lora(network, TARGETS.get(target, (target,)), rank=rank, **settings)


# The tiny decoder: 2 layers of width 32 with a feed-forward of 128, 4 codebooks of 512.
SIZES = {"attention": 16, "muxit": 8, "dreambooth": 16 + 4 + 1 + 4 + 4}
TRAINED = {  # rank 4 times in + out of each
    "attention": 16 * 4 * 64,
    "muxit": 4 * 4 * 64 + 4 * 4 * 160,
    "dreambooth": 16 * 4 * 64 + 4 * 4 * 160 + 4 * 56 + 4 * 4 * 544 + 4 * 4 * 545,
}


@pytest.mark.parametrize("target", TARGETS)
def test_presets_train_just_so_many_numbers(model, target):
    whole = sum(weight.numel() for weight in model.network.parameters())
    decoder = sum(weight.numel() for weight in model.network.decoder.parameters())
    hit = matrices(model.network, TARGETS[target])
    share = corrected(model.network, target).share
    assert (share.matrices, share.trained) == (SIZES[target], TRAINED[target])
    assert (share.adapted, share.language_model, share.model) == (sum(hit.values()), decoder, whole)
    assert share.to_json()["of_model"] == share.trained / whole
    assert f"{share.trained:,}" in str(share)


def test_only_corrections_are_trained(model):
    lora = corrected(model.network, "dreambooth")
    trained = [name for name, w in lora.network.named_parameters() if w.requires_grad]
    assert len(trained) == len(lora.weights) and all(".lora_" in name for name in trained)
    assert not any("text_encoder" in name or "audio_encoder" in name for name in trained)


def test_names_may_be_given_and_wrong_ones_are_told_the_right(model):
    assert targets(" q_proj, fc1,q_proj,") == ("q_proj", "fc1")
    assert targets("muxit") == TARGETS["muxit"]
    assert list(matrices(model.network, ["self_attn.q_proj"])) == [
        f"decoder.model.decoder.layers.{layer}.self_attn.q_proj" for layer in range(2)
    ]
    assert len(matrices(model.network, ["lm_heads"])) == 4
    with pytest.raises(SidemanError, match=r"'wq'.*embed_tokens.*fc1.*q_proj"):
        matrices(model.network, ["wq"])
    with pytest.raises(SidemanError, match="'SelfAttention'"):  # T5's own
        matrices(model.network, ["SelfAttention"])


def test_without_prompts_what_hears_them_is_left_out(model):
    lora = corrected(model.network, "attention", prompts=False)
    assert lora.share.matrices == 8
    assert not any("encoder_attn" in name for name in lora.weights)
    with pytest.raises(SidemanError, match="only listens to prompts"):
        corrected(model.network, "encoder_attn.q_proj", prompts=False)


@pytest.mark.parametrize("target", ["dreambooth", "muxit", "self_attn.q_proj"])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_peft_reads_what_is_written_as_it_was(base, model, tmp_path, target):
    lora = corrected(model.network, target)
    for weight in lora.weights.values():
        torch.nn.init.normal_(weight, std=0.2)
    (tmp_path / "mine").mkdir()
    lora.write(tmp_path / "mine", "musicgen-tiny-random", lora.weights)
    theirs = peft.PeftModel.from_pretrained(MusicGen.load(base).network, str(tmp_path / "mine"))
    mine = {name: w for name, w in lora.network.named_parameters() if "lora_" in name}
    read = {name: w for name, w in theirs.named_parameters() if "lora_" in name}
    assert mine.keys() == read.keys()
    assert all(torch.equal(mine[name], read[name]) for name in mine)
    table = json.loads((tmp_path / "mine" / "adapter_config.json").read_text())
    assert table["base_model_name_or_path"] == "musicgen-tiny-random"
    assert (table["peft_type"], table["r"], table["lora_alpha"]) == ("LORA", 4, 8.0)


def test_the_same_weights_give_the_same_files(model, tmp_path):
    lora = corrected(model.network, "dreambooth")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        lora.write(tmp_path / name, "base", lora.weights)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
