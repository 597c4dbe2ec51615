"""Community checkpoints: RWKV-7 comes through whole, everything else is refused unexecuted."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engine.errors import Code, SidemanError  # noqa: E402
from engine.models.rwkv.family import FAMILY, read  # noqa: E402
from tests.support.rwkv_weights import SMALL, random_weights  # noqa: E402
from training.import_rwkv import import_pth  # noqa: E402

Checkpoint = dict[str, torch.Tensor]


@pytest.fixture
def checkpoint() -> Checkpoint:
    """As published: vectors ``[1, 1, C]``, and a first layer with values that nobody reads."""
    table = {key: torch.from_numpy(value) for key, value in random_weights(SMALL).items()}
    for key, tensor in table.items():
        if ".att." in key and tensor.ndim == 1 and "ln_x" not in key:
            table[key] = tensor.view(1, 1, -1)
    for digit in "012":
        table[f"blocks.0.att.v{digit}"] = table[f"blocks.0.att.a{digit}"].clone()
    return table


def save(folder: Path, content: object) -> Path:
    path = folder / "community.pth"
    torch.save(content, path)
    return path


def refused(path: Path) -> str:
    out = path.parent / "out"
    with pytest.raises(SidemanError) as caught:
        import_pth(path, out)
    assert caught.value.code is Code.BAD_FILE
    assert "\n" not in caught.value.text
    assert not out.exists(), "a refused file leaves nothing behind"
    return caught.value.text


def test_an_rwkv_7_checkpoint_becomes_a_model_folder(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    info = import_pth(save(tmp_path, checkpoint), tmp_path / "out", licence="Apache-2.0")
    found, sizes, weights = read(tmp_path / "out")
    assert found == info
    assert (info.name, info.licence, sizes) == ("community", "Apache-2.0", SMALL)
    for key, value in random_weights(SMALL).items():
        np.testing.assert_array_equal(weights[key], value)
    assert FAMILY.load(tmp_path / "out", runtime="numpy").open().step([1]).any()


def test_half_precision_stays_half(tmp_path: Path, checkpoint: Checkpoint) -> None:
    half = {key: tensor.bfloat16() for key, tensor in checkpoint.items()}
    import_pth(save(tmp_path, half), tmp_path / "out", dtype="bfloat16")
    _, _, weights = read(tmp_path / "out")
    for key, value in weights.items():
        np.testing.assert_array_equal(value, half[key].float().numpy().reshape(value.shape))


def test_a_single_layer_has_no_value_rank(tmp_path: Path) -> None:
    weights = random_weights(replace(SMALL, layers=1))
    table = {key: torch.from_numpy(value) for key, value in weights.items()}
    info = import_pth(save(tmp_path, table), tmp_path / "out")
    assert info.sizes["layers"] == 1


@pytest.mark.parametrize(
    ("tensors", "version"),
    [
        (["att.time_maa_x", "att.ln_x.weight", "att.gate.weight"], "RWKV-6"),
        (["att.gate.weight", "att.ln_x.weight", "att.time_decay"], "RWKV-5"),
        (["att.ln_x.weight", "att.time_decay"], "RWKV-5"),
    ],
)
def test_older_versions_are_refused_by_name(
    tmp_path: Path, tensors: list[str], version: str
) -> None:
    table = {"emb.weight": torch.zeros(5, 4)}
    table |= {f"blocks.0.{name}": torch.zeros(4) for name in tensors}
    assert f"is {version}; only RWKV-7 and RWKV-4" in refused(save(tmp_path, table))


def test_relatives_are_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    checkpoint["blocks.0.ffn.s_emb.weight"] = torch.zeros(4)
    assert "deep embeddings" in refused(save(tmp_path, checkpoint))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("head.weight", None, "lacks the tensor head.weight"),
        ("blocks.0.att.w1", None, "blocks.0.att.w1 is missing"),
        ("blocks.0.att.r_k", torch.zeros(3), "blocks.0.att.r_k"),
        ("blocks.1.att.key.weight", torch.zeros(3, 3), "blocks.1.att.key.weight is [3, 3]"),
        ("surprise", torch.zeros(3), "the first is 'surprise'"),
        ("ln_out.bias", torch.full((SMALL.embed,), torch.nan), "not finite"),
    ],
)
def test_checkpoints_that_do_not_fit(
    tmp_path: Path, checkpoint: Checkpoint, key: str, value: torch.Tensor | None, says: str
) -> None:
    checkpoint.pop(key, None)
    if value is not None:
        checkpoint[key] = value
    assert says in refused(save(tmp_path, checkpoint))


@pytest.mark.parametrize("content", [[torch.zeros(3)], {"a": 1}, {1: torch.zeros(3)}, "text"])
def test_what_is_no_table_of_tensors(tmp_path: Path, content: object) -> None:
    assert "not a table of named tensors" in refused(save(tmp_path, content))


def test_other_tensors(tmp_path: Path) -> None:
    assert "not an RWKV checkpoint" in refused(save(tmp_path, {"weight": torch.zeros(3)}))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and no more", b"\x80\x04.", b"RIFF" * 100])
def test_files_that_are_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "community.pth"
    path.write_bytes(data)
    refused(path)


def test_missing_files(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "nowhere.pth")


class Trap:
    """Whoever unpickles this runs it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("plain", [True, False])
def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path, plain: bool) -> None:
    mark = tmp_path / "executed"
    path = tmp_path / "community.pth"
    if plain:
        path.write_bytes(pickle.dumps({"emb.weight": Trap(mark)}))
    else:
        torch.save({"emb.weight": Trap(mark)}, path)
    refused(path)
    assert not mark.exists()
