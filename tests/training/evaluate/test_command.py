import json

import pytest
import torch

from bridge.cli import main
from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.torch_model import Rwkv7
from training.export import export_model


@pytest.fixture
def words(token_set, tmp_path):
    torch.manual_seed(0)
    model = Rwkv7(Sizes(1, 64, 64, 64, token_set.vocabulary.size, 4, 4, 4, 4))
    model.initialise()
    folder = export_model(model, token_set, tmp_path / "tiny", {})
    return ["train", "evaluate", str(folder), str(token_set.folder), "--samples", "0"]


def test_it_prints_a_table_and_leaves_a_page_beside(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["bits", "per", "note"]
    assert [line.split()[0] for line in lines[1:3]] == ["bands", "foreign"]
    assert lines[3] == "tiny-evaluation.html"
    assert (tmp_path / lines[3]).is_file()


def test_its_json_is_one_object_on_the_last_line(words, tmp_path, capsys):
    page = tmp_path / "new folder" / "page.html"
    assert main([*words, "--json", "--pieces", "1", "-o", str(page)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["output"] == str(page)
    assert result["seconds"] > 0
    assert result["collections"]["bands"]["pieces"] == 1
    assert {"bits_per_note", "bits_per_bar", "predictors"} <= set(result["collections"]["bands"])


def test_a_page_that_cannot_be_written_is_refused_before_the_work(words, tmp_path, capsys):
    assert main([*words, "-o", str(tmp_path)]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_what_is_no_data_set_is_named(words, tmp_path, capsys):
    words[3] = str(tmp_path / "nowhere")
    assert main(words) == 1
    assert "nowhere" in capsys.readouterr().err
