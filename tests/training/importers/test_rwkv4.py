"""RWKV-4 checkpoints: LoRA merged, what cannot be played refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import SidemanError
from engine.models import registry
from engine.models.rwkv4.architecture import Sizes, tensors
from training.import_rwkv import import_pth

SIZES = Sizes(layers=2, embed=32, ffn=128, vocab=40)
Checkpoint = dict[str, torch.Tensor]


@pytest.fixture
def checkpoint() -> Checkpoint:
    """As MusAI saves it: mixes ``[1, 1, C]``."""
    random = np.random.default_rng(1)
    table = {
        name: torch.from_numpy(random.normal(0, 0.3, shape).astype(np.float32))
        for name, shape in tensors(SIZES).items()
    }
    return {
        name: tensor.view(1, 1, -1) if "time_mix" in name else tensor
        for name, tensor in table.items()
    }


def save(folder: Path, name: str, table: Checkpoint) -> Path:
    torch.save(table, folder / name)
    return folder / name


def logits(folder: Path) -> np.ndarray:
    stream = registry.load(folder).open()
    stream.feed([3, 1, 4, 1, 5])
    return stream.logits.copy()


def test_a_checkpoint_becomes_a_model_that_plays(tmp_path: Path, checkpoint: Checkpoint) -> None:
    info = import_pth(save(tmp_path, "main_9.pth", checkpoint), tmp_path / "out", licence="MIT")
    assert (info.family, info.architecture, info.licence) == ("rwkv4", "rwkv4", "MIT")
    assert info.sizes == SIZES.to_json()
    assert np.isfinite(logits(tmp_path / "out")).all()


def test_a_lora_is_merged_into_its_base(tmp_path: Path, checkpoint: Checkpoint) -> None:
    base = save(tmp_path, "base.pth", checkpoint)
    down, up = torch.randn(8, 32), torch.randn(128, 8)
    key = "blocks.1.ffn.key"
    adapter = {
        f"{key}.lora_A": down,
        f"{key}.lora_B": up,
        "blocks.0.att.key.lora_A": torch.randn(8, 32),
        "blocks.0.att.key.lora_B": torch.zeros(32, 8),
        "blocks.1.ln1.bias": torch.ones(32),
    }
    lora = save(tmp_path, "main_1.pth", adapter)
    import_pth(lora, tmp_path / "merged", base=base)
    by_hand = checkpoint | {
        f"{key}.weight": checkpoint[f"{key}.weight"] + 4 * up @ down,
        "blocks.1.ln1.bias": torch.ones(32),
    }
    import_pth(save(tmp_path, "hand.pth", by_hand), tmp_path / "hand")
    import_pth(base, tmp_path / "base")
    np.testing.assert_allclose(logits(tmp_path / "merged"), logits(tmp_path / "hand"), atol=1e-5)
    assert not np.allclose(logits(tmp_path / "merged"), logits(tmp_path / "base"))

    with pytest.raises(SidemanError, match=r"needs the model .*--base FILE"):
        import_pth(lora, tmp_path / "alone")
    assert not (tmp_path / "alone").exists()


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("head_q.weight", "head QK"),
        ("blocks.1.tiny_q.weight", "tiny attention"),
        ("emb.encoder.fc_mean.weight", "VAE"),
        ("blocks.0.pos_emb_x", "position embeddings"),
        ("blocks.0.ffnPre.key.weight", "channel mix"),
    ],
)
def test_options_that_cannot_be_played_are_named(
    tmp_path: Path, checkpoint: Checkpoint, key: str, what: str
) -> None:
    checkpoint[key] = torch.zeros(3)
    with pytest.raises(SidemanError, match=what):
        import_pth(save(tmp_path, "main.pth", checkpoint), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("head.weight", None, "lacks the tensor head.weight"),
        ("emb.weight", None, "lacks the matrices"),
        ("emb.weight", torch.zeros(3), "lacks the matrices"),
        ("blocks.1.att.key.weight", torch.zeros(3, 3), "blocks.1.att.key.weight is"),
        ("blocks.1.att.key.lora_A", torch.zeros(8, 32), "LoRA of blocks.1.att.key does not fit"),
        ("surprise", torch.zeros(3), "RWKV-4 has not"),
        ("ln_out.bias", torch.full((32,), torch.inf), "not finite"),
    ],
)
def test_checkpoints_that_do_not_fit(
    tmp_path: Path, checkpoint: Checkpoint, key: str, value: torch.Tensor | None, says: str
) -> None:
    checkpoint.pop(key, None)
    if value is not None:
        checkpoint[key] = value
    with pytest.raises(SidemanError, match=says):
        import_pth(save(tmp_path, "main.pth", checkpoint), tmp_path / "out")


def test_a_tokenizer_must_be_the_model_s(tmp_path: Path, checkpoint: Checkpoint) -> None:
    miditok = pytest.importorskip("miditok")
    tokenizer = miditok.REMI(
        miditok.TokenizerConfig(
            use_programs=True, use_time_signatures=True, one_token_stream_for_programs=True
        )
    )
    tokenizer.save(tmp_path / "tokenizer.json")
    path = save(tmp_path, "main.pth", checkpoint)
    with pytest.raises(SidemanError, match=r"tokenizer\.json: has \d+ tokens, and the model 40"):
        import_pth(path, tmp_path / "out", tokenizer=tmp_path / "tokenizer.json")

    wide = Sizes(2, 32, 128, len(tokenizer))
    for name in ("emb.weight", "head.weight"):
        checkpoint[name] = torch.randn(tensors(wide)[name])
    path = save(tmp_path, "main.pth", checkpoint)
    info = import_pth(path, tmp_path / "out", tokenizer=tmp_path / "tokenizer.json")
    assert info.tokenizer is not None
    assert (tmp_path / "out" / info.tokenizer.file).is_file()
    assert "4/4" in info.meters
