import pytest
import torch

from engine.errors import SidemanError
from engine.models.folder import read_info, read_weights
from engine.models.rwkv.architecture import Sizes, tensors
from engine.models.rwkv.torch_model import Rwkv7
from training.export import export_model, int8_by_row, load_run

METRICS = {
    "heldout": {"bands": {"pieces": 2, "notes": 128, "bits_per_token": 1.25, "bits_per_note": 5.5}}
}


@pytest.fixture
def model(token_set):
    torch.manual_seed(0)
    model = Rwkv7(Sizes(2, 64, 64, 128, token_set.vocabulary.size, 4, 4, 4, 8))
    model.initialise()
    return model


def test_the_engine_reads_what_training_writes(model, token_set, tmp_path):
    folder = export_model(model, token_set, tmp_path / "model", METRICS)
    info = read_info(folder)
    assert info.metrics == METRICS
    assert info.meters == ("4/4",)
    assert [source.name for source in info.training_data] == ["bands"]
    sizes = Sizes.from_json(info.sizes)
    weights = read_weights(folder, info, tensors(sizes))
    for name, weight in model.state_dict().items():
        assert torch.equal(torch.from_numpy(weights[name]), weight)


def test_the_page_beside_the_weights_names_sources_and_figures(model, token_set, tmp_path):
    folder = export_model(model, token_set, tmp_path / "model", METRICS)
    page = (folder / "README.md").read_text()
    assert "| [bands](https://example.org) | 10 |" in page
    assert "the tests' bands" in page
    assert "foreign](" not in page
    assert "| bands | 2 | 128 | 1.25 | 5.50 |" in page


def test_int8_rounds_matrices_row_by_row_and_nothing_else(model):
    rounded = int8_by_row(model).state_dict()
    for name, weight in model.state_dict().items():
        if weight.ndim < 2 or name == "emb.weight" or name.endswith("r_k"):
            assert torch.equal(rounded[name], weight)
            continue
        axis = 1 if name.endswith(".weight") else 0
        step = weight.abs().amax(axis, keepdim=True) / 127
        assert ((rounded[name] - weight).abs() <= step / 2 + 1e-7).all()


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(SidemanError, match=f"{tmp_path} is not the folder of a run"):
        load_run(tmp_path)


def test_an_interrupted_export_leaves_the_former_model(model, token_set, tmp_path, monkeypatch):
    folder = export_model(model, token_set, tmp_path / "model", METRICS)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(path, text, encoding):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", full)
        with pytest.raises(SidemanError, match="the disk is full"):
            export_model(model, token_set, folder, {})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    export_model(model, token_set, folder, {})
    assert read_info(folder).metrics == {}
