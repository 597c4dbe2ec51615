from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoProcessor, MusicgenForConditionalGeneration

from engine.models.musicgen import tiny
from engine.models.musicgen.checkpoint import quiet


def test_the_same_seed_makes_the_same_model(models: dict[int, Path], tmp_path: Path) -> None:
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    again = tiny.write(tmp_path / "again")
    other = tiny.write(tmp_path / "other", seed=1)
    assert torch.equal(torch.random.get_rng_state(), before), "others' chance is left alone"
    for file in models[1].iterdir():
        assert (again / file.name).read_bytes() == file.read_bytes(), file.name
    name = "model.safetensors"
    assert (other / name).read_bytes() != (again / name).read_bytes()


@pytest.mark.parametrize("channels", [1, 2])
def test_transformers_takes_it_for_a_musicgen(models: dict[int, Path], channels: int) -> None:
    with quiet():
        processor = AutoProcessor.from_pretrained(models[channels])
        network = MusicgenForConditionalGeneration.from_pretrained(models[channels])
        inputs = processor(text=["dry funk drums", "piano!"], padding=True, return_tensors="pt")
        made = network.generate(**inputs, max_new_tokens=13, do_sample=False, guidance_scale=3.0)
    assert made.shape == (2, channels, 10 * 640)
    assert made.isfinite().all() and 1e-3 < made.std() < 1


def test_no_text_is_unknown_to_its_tokenizer() -> None:
    unknown = tiny.SPECIAL.index("<unk>")
    assert unknown not in tiny.tokenizer().encode("Lo-Fi Beat, 90 BPM (dusty!)").ids
