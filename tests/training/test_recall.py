"""The gate that training fits: what it is worth, that it repeats, and that the engine agrees."""

import numpy as np
import pytest
import torch

from engine.models.folder import read_info
from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.torch_model import Rwkv7
from engine.recall import contexts, loops
from engine.recall.gate import Gate
from engine.recall.memory import Findings, Memory, Past, Sequels
from engine.tokens.vocabulary import Vocabulary
from training import recall
from training.evaluate.network import Network
from training.evaluate.players import ALONE, MODEL, NETWORK, heldout_figures, predictors_of
from training.export import export_model

TOKENS = 3000


@pytest.fixture(scope="module")
def network(token_folder):
    torch.manual_seed(0)
    model = Rwkv7(Sizes(1, 64, 64, 64, len(Vocabulary.load(token_folder)), 4, 4, 4, 4))
    model.initialise()
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return model.eval()


@pytest.fixture
def gate(network, token_set):
    return recall.fit_to(network, token_set, tokens=TOKENS)


@pytest.fixture
def song(token_set):
    return token_set.tokens(token_set.select("heldout")[0])


def test_music_that_repeats_surprises_less_with_a_fitted_gate(network, gate, token_set, song):
    begin = token_set.vocabulary.begin
    vocabulary = Vocabulary.load(token_set.folder)
    alone = -Network(network, begin).log_probs(song)
    unfitted = recall.nats(network, recall.empty_gate(), vocabulary, song, begin)
    fitted = recall.nats(network, gate, vocabulary, song, begin)
    assert fitted.shape == song.shape and np.isfinite(fitted).all()
    assert fitted.mean() < unfitted.mean() < alone.mean()
    # From the third bar on, all has been played before.
    assert fitted[len(song) // 3 :].mean() < 0.3


def test_the_same_seed_fits_the_same_gate(network, gate, token_set):
    again = recall.fit_to(network, token_set, tokens=TOKENS)
    other = recall.fit_to(network, token_set, seed=1, tokens=TOKENS)
    assert np.array_equal(again.experts, gate.experts) and np.array_equal(again.base, gate.base)
    assert not np.array_equal(other.experts, gate.experts)


def test_a_song_that_is_heard_is_recalled_as_a_take_recalls_itself(network, gate, token_set, song):
    begin, song = token_set.vocabulary.begin, song[:150]
    vocabulary = Vocabulary.load(token_set.folder)
    past = Past(contexts.kinds_of(vocabulary))
    past.add([begin])
    take, findings = Sequels(past, 1), Findings()
    live = []
    logits = torch.cat(list(recall.network_logits(network, song, begin))).numpy()
    for chances, entropy, peak, token in zip(*recall.softmax(logits), song.tolist(), strict=True):
        loops.fastest().blend(
            chances, int(take.states[0, contexts.AT_KIND]), float(entropy), float(peak),
            take.contexts[0, take.lengths[0]], past.tokens, past.earlier, past.keys, past.latest,
            take.tokens[0], take.contexts[0], take.first, int(take.lengths[0]),
            gate.base, gate.experts, *findings.arrays,
        )  # fmt: skip
        live.append(-np.log(chances[token]))
        take.add([token])
    assert recall.nats(network, gate, vocabulary, song, begin) == pytest.approx(live, abs=1e-4)


def test_an_exported_model_has_its_gate_and_is_judged_with_it(network, gate, token_set, tmp_path):
    folder = export_model(network, token_set, tmp_path / "mine", {}, gate)
    info = read_info(folder)
    assert info.recall is not None and info.recall.file == "recall.json"
    assert Memory.of(folder, info, Vocabulary.load(folder)) is not None
    kept = Gate.load(folder / info.recall.file)
    assert kept.experts == pytest.approx(gate.experts, rel=1e-4)
    predictors = predictors_of(folder, token_set.vocabulary.begin)
    assert list(predictors) == [MODEL, NETWORK]
    figures = heldout_figures(predictors, token_set)
    for entry in figures.values():
        assert entry["bits_per_note"] < entry[ALONE]["bits_per_note"] / 2
    page = (
        export_model(network, token_set, folder, {"heldout": figures}, gate) / "README.md"
    ).read_text()
    assert "| bits per note | bits per note of the network alone |" in page
    assert f"| {figures['bands'][ALONE]['bits_per_note']:.2f} |" in page


@pytest.mark.parametrize(("learned", "read"), [(0, 20_000), (2_000_000, 50_000), (10**9, 200_000)])
def test_fitting_takes_a_small_part_of_the_time(learned, read):
    assert recall.tokens_for(learned) == read
