import pytest
import torch

from engine.models.rwkv.architecture import Sizes
from engine.models.rwkv.torch_model import Rwkv7
from training.export import export_model
from training.samples import SampleConfig, samples, summary


@pytest.fixture
def config(token_set, tmp_path):
    torch.manual_seed(0)
    model = Rwkv7(Sizes(1, 64, 64, 64, token_set.vocabulary.size, 4, 4, 4, 4))
    model.initialise()
    folder = export_model(model, token_set, tmp_path / "model", {})
    return SampleConfig(
        folder, token_set.folder, "bands", pieces=2, context_bars=4, bars=2, temperature=0.5
    )


def test_a_sample_is_music_inside_its_bars_for_the_programs_it_heard(config):
    made = list(samples(config))
    assert len(made) == 2
    for sample in made:
        assert [len(sample.context), len(sample.real), len(sample.take)] == [4, 2, 2]
        assert {note.program for bar in sample.take for note in bar} <= {-1, 0, 33}
        assert all(0 <= note.tick < 4 * 960 for bar in sample.take for note in bar)


def test_the_same_seed_gives_the_same_sample(config):
    assert [sample.take for sample in samples(config)] == [s.take for s in samples(config)]


def test_what_really_follows_repeats_in_songs_that_repeat(config):
    real = summary(config)["real"]
    assert (real["takes"], real["verbatim"], real["programs"], real["in_key"]) == (2, 1, 1, 1)
