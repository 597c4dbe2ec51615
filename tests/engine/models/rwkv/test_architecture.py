import pytest

from engine.errors import Code, SidemanError
from engine.models.rwkv.architecture import Sizes, tensors

SIZES = {
    "layers": 2,
    "embed": 128,
    "head": 64,
    "ffn": 256,
    "vocab": 40,
    "decay_rank": 8,
    "iclr_rank": 8,
    "value_rank": 8,
    "gate_rank": 16,
}


def test_sizes_survive_the_way_through_json():
    assert Sizes.from_json(SIZES).to_json() == SIZES


@pytest.mark.parametrize(
    "change", [{"embed": 100}, {"layers": 0}, {"layers": 2.0}, {"vocab": True}, {"depth": 3}]
)
def test_wrong_sizes_are_refused(change):
    with pytest.raises(SidemanError) as caught:
        Sizes.from_json(SIZES | change)
    assert caught.value.code is Code.BAD_FILE


def test_missing_sizes_are_named():
    with pytest.raises(SidemanError, match="gate_rank"):
        Sizes.from_json({k: v for k, v in SIZES.items() if k != "gate_rank"})


def test_only_the_first_layer_has_ln0_and_no_value_mix():
    table = tensors(Sizes.from_json(SIZES))
    assert table["blocks.0.ln0.weight"] == (128,)
    assert "blocks.1.ln0.weight" not in table
    assert "blocks.0.att.v1" not in table
    assert table["blocks.1.att.v1"] == (128, 8)
    assert table["head.weight"] == (40, 128)


def test_parameters_are_counted():
    assert Sizes(4, 256, 64, 1024, 496, 32, 32, 32, 64).parameters == 3_731_200
