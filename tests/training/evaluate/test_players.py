import hashlib
import json

import numpy as np
import pytest
import torch

from engine.models import registry
from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.torch_model import Rwkv7
from training.evaluate.players import MODEL, NETWORK, Stepped, predictors_of
from training.export import export_model
from training.recall import empty_gate


@pytest.fixture
def model(token_set, tmp_path):
    torch.manual_seed(0)
    model = Rwkv7(Sizes(1, 64, 64, 64, token_set.vocabulary.size, 4, 4, 4, 4))
    model.initialise()
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return export_model(model, token_set, tmp_path / "model", {})


def add_recall(folder, gate):
    gate.save(folder / "recall.json")
    sha256 = hashlib.sha256((folder / "recall.json").read_bytes()).hexdigest()
    info = json.loads((folder / "model.json").read_text())
    info["recall"] = {"file": "recall.json", "sha256": sha256}
    (folder / "model.json").write_text(json.dumps(info))


def test_read_at_once_and_step_by_step_a_network_expects_the_same(model, token_set):
    tokens = token_set.tokens(token_set.select("heldout")[0])
    begin = token_set.vocabulary.begin
    (at_once,) = predictors_of(model, begin).values()
    stepped = Stepped(registry.load(model, precision="float32"), begin)
    assert stepped.log_probs(tokens) == pytest.approx(at_once.log_probs(tokens), abs=2e-3)


def test_a_model_with_recall_is_judged_with_it_and_without(model, token_set):
    tokens = token_set.tokens(token_set.select("heldout")[0])
    add_recall(model, empty_gate())
    predictors = predictors_of(model, token_set.vocabulary.begin)
    assert list(predictors) == [MODEL, NETWORK]
    with_recall, without = (p.log_probs(tokens) for p in predictors.values())
    assert len(with_recall) == len(without) == len(tokens)
    # The song is one bar again and again: what came before is the better guide.
    late = slice(len(tokens) // 2, None)
    assert with_recall[late].mean() > without[late].mean() + 1
    assert np.isfinite(with_recall).all()
