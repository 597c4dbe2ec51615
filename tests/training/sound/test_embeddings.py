"""Vectors of sound: what changes them, what does not, and what they are called."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import SidemanError
from engine.keys import parse
from tests.training.sound.sounds import tone
from training.sound.dataset import RATE
from training.sound.embeddings import Clap, Mel
from training.sound.fad import fad, kad
from training.sound.pitch_classes import chroma, key_of, likeness


def music(seed: int, noise: float = 0.0, detune: float = 1.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    notes = [tone(220 * 2 ** (step / 12) * detune, 1.0, seed + step) for step in (0, 4, 7, 11)]
    sound = np.concatenate([notes[index] for index in random.permutation(4)])
    return (sound + noise * random.standard_normal(len(sound))).astype(np.float32)[:, None]


def vectors(**changes: float) -> np.ndarray:
    return np.concatenate([Mel().embed(music(seed, **changes), RATE) for seed in range(15)])


def test_a_second_is_a_vector_and_stereo_is_mixed():
    sound = music(0)
    found = Mel().embed(sound, RATE)
    assert found.shape == (4, 40)
    np.testing.assert_allclose(Mel().embed(np.repeat(sound, 2, axis=1), RATE), found, atol=1e-3)
    assert Mel().embed(sound[: RATE // 3], RATE).shape == (0, 40)
    assert np.isfinite(Mel().embed(np.zeros((RATE * 2, 1), np.float32), RATE)).all()


def test_another_rate_is_resampled():
    import soxr

    sound = music(0)
    other = soxr.resample(sound, RATE, 44_100, quality="VHQ").astype(np.float32)
    near = np.abs(Mel().embed(other, 44_100)[:, :12] - Mel().embed(sound, RATE)[:, :12])
    assert near.mean() < 1


def test_a_louder_tone_in_a_band_is_heard_there():
    levels = Mel().levels(tone(1000.0, 1.0, 0)[:, None] * 0.5, RATE)
    double = Mel().levels(tone(1000.0, 1.0, 0)[:, None], RATE)
    assert np.abs((double - levels).mean(0) - 6.02).max() < 0.01
    assert levels.mean(0).argmax() in range(4, 9)


def test_distances_grow_with_noise_and_with_detuning():
    clean = vectors()
    for name, steps in (("noise", (0.01, 0.03, 0.1)), ("detune", (1.1, 1.4, 2.0))):
        worse = [vectors(**{name: step}) for step in steps]
        for distance in (fad, lambda one, other: kad(one, other).value):
            found = [distance(clean, each) for each in worse]
            assert found == sorted(found) and found[0] > 0, (name, found)


def test_nothing_but_a_clap_is_called_clap(tmp_path):
    assert Mel().name == "mel"
    with pytest.raises(SidemanError, match="no CLAP"):
        Clap(tmp_path)


def test_a_local_clap_is_used_and_named(tmp_path):
    pytest.importorskip("transformers")
    from transformers import ClapAudioConfig, ClapConfig, ClapFeatureExtractor, ClapModel
    from transformers import ClapTextConfig as TextConfig

    text = TextConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, projection_dim=16,
    )  # fmt: skip
    audio = ClapAudioConfig(
        depths=[1, 1], num_attention_heads=[2, 2], patch_embeds_hidden_size=16, hidden_size=32,
        projection_dim=16,
    )  # fmt: skip
    folder = tmp_path / "my-clap"
    ClapModel(
        ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=16)
    ).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
    clap = Clap(folder)
    assert "my-clap" in clap.name and "clap" in clap.name
    found = clap.embed(music(0), RATE)
    assert found.shape == (1, clap.width)
    assert np.isfinite(found).all()


def scale(key: str) -> np.ndarray:
    steps = sorted(parse(key).pitch_classes)
    tonic = parse(key).tonic
    notes = [*steps, tonic, tonic, (tonic + 7) % 12]
    return np.concatenate([tone(261.63 * 2 ** (s / 12), 0.5, s) for s in notes])[:, None]


@pytest.mark.parametrize("key", ["C major", "A minor", "F# major", "Eb minor"])
def test_a_scale_is_in_its_key(key):
    assert key_of(chroma(scale(key), RATE)) == parse(key)


def test_pitch_classes_of_one_tone_are_one():
    found = chroma(tone(440.0, 2.0, 0)[:, None], RATE)
    assert found.argmax() == 9 and found.sum() == pytest.approx(1)
    assert likeness(found, found) == pytest.approx(1)
    far = chroma(tone(622.25, 2.0, 0)[:, None], RATE)
    assert likeness(found, far) < 0.9
    assert not chroma(np.zeros((RATE, 1), np.float32), RATE).any()
