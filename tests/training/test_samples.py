import pytest
import torch

from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.torch_model import Rwkv7
from training.export import export_model
from training.samples import METHODS, SampleConfig, cuts, samples

CONFIG = SampleConfig(pieces=2, context_bars=4, bars=2)


@pytest.fixture
def model(token_set, tmp_path):
    torch.manual_seed(0)
    model = Rwkv7(Sizes(1, 64, 64, 64, token_set.vocabulary.size, 4, 4, 4, 4))
    model.initialise()
    for weight in model.parameters():  # what is new listens to nothing: it has to be unsettled
        weight.data += 0.3 * torch.randn_like(weight)
    return export_model(model, token_set, tmp_path / "model", {})


def test_a_take_is_music_inside_its_bars_for_the_programs_it_heard(model, token_set):
    made = list(samples(model, token_set, "bands", CONFIG))
    assert len(made) == 2
    for sample in made:
        assert list(sample.takes) == list(METHODS)
        assert len(sample.context) == len(sample.meters_before) == 4
        for take in sample.takes.values():
            assert len(take) == len(sample.meters) == 2
            notes = [note for bar in take for note in bar]
            assert {note.program for note in notes} <= {-1, 0, 33}
            assert all(0 <= note.tick < 4 * 960 for note in notes)


def test_the_same_seed_gives_the_same_takes(model, token_set):
    first = [sample.takes for sample in samples(model, token_set, "bands", CONFIG)]
    assert first == [sample.takes for sample in samples(model, token_set, "bands", CONFIG)]


def test_a_model_without_context_plays_something_else(model, token_set):
    (sample, *_) = samples(model, token_set, "bands", CONFIG)
    assert sample.takes["alone"] != sample.takes["model"]


def test_what_really_follows_is_cut_where_the_context_ends(token_set):
    (cut, *_) = cuts(token_set, "bands", CONFIG)
    assert (len(cut.past), len(cut.real), len(cut.meters)) == (4, 2, 6)
    assert [{note.bar for note in bar} for bar in cut.real] == [{0}, {1}]
    assert cut.preset == "trio"


def test_pieces_that_are_too_short_are_left_out(token_set):
    assert not list(cuts(token_set, "bands", SampleConfig(context_bars=8, bars=1)))
    assert not list(cuts(token_set, "bands", SampleConfig(context_bars=4, bars=5)))
