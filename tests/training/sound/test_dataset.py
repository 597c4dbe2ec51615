"""The data set that trainers read, and the codes that are made of it once."""

import json

import numpy as np
import pytest
import soundfile

pytest.importorskip("transformers")

from engine.errors import SidemanError
from engine.models.musicgen import tiny
from engine.models.musicgen.codec import Codec
from engine.models.musicgen.model import MusicGen
from training.sound import codes as making
from training.sound.codes import fingerprint
from training.sound.dataset import RATE, Clips, write_json


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {channels: MusicGen.load(tiny.write(folder, channels=channels)) for channels in (1, 2)}


def make(folder, count=5, channels=1, seconds=0.5):
    random = np.random.default_rng(1)
    (folder / "clips").mkdir(parents=True)
    entries = []
    for number in range(1, count + 1):
        sound = 0.1 * random.standard_normal((int(seconds * RATE), channels))
        soundfile.write(folder / f"clips/{number:06d}.wav", sound, RATE)
        split = "held-out" if number == 2 else "train"
        entries.append(
            {
                "audio": f"clips/{number:06d}.wav",
                "prompt": f"noise {number}",
                "seconds": seconds,
                "concept": "noise" if number % 2 else None,
                "split": split,
                "codes": None,
            }
        )
    write_json(folder / "manifest.json", entries)
    write_json(folder / "data.json", {"format": 1, "rate": RATE, "channels": channels})
    return folder


def test_it_reads_what_is_said_of_each_clip(tmp_path):
    clips = Clips.open(make(tmp_path / "data"))
    assert [clip.prompt for clip in clips.held_out] == ["noise 2"]
    assert len(clips.train) == 4 and clips.concepts == ["noise"] and clips.seconds == 2.5
    assert clips.clips[0].sound().shape == (RATE // 2, 1)
    with pytest.raises(SidemanError, match="no codes yet"):
        clips.clips[0].codes()


def test_codes_are_made_once_and_are_the_codec_s(tmp_path, models):
    clips = Clips.open(make(tmp_path / "data"))
    seen = []
    assert clips.encode(models[1], lambda done, total: seen.append((done, total))) == 5
    assert seen[-1] == (5, 5) and clips.codec.codebooks == 4 and clips.codec.frame_rate == 50
    again = Clips.open(clips.folder)
    assert again.codec == clips.codec and again.encode(models[1]) == 0
    codec = Codec(models[1].codec, 1)
    for clip in again.clips:
        held = clip.codes()
        assert held.shape == (4, 25) and held.dtype == np.int64
        alone = codec.encode(making._heard(clip, codec)[None])[0].numpy()
        assert np.mean(held == alone) > 0.99


def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path, models):
    whole, stopped = (Clips.open(make(tmp_path / name, 19)) for name in ("whole", "stopped"))
    whole.encode(models[1])

    def stop(done, total):
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.encode(models[1], stop)
    resumed = Clips.open(stopped.folder)
    assert resumed.codec is None
    assert resumed.encode(models[1]) == 11
    for one, other in zip(whole.clips, resumed.clips, strict=True):
        path, other_path = one.folder / one.code_file, other.folder / other.code_file
        assert path.read_bytes() == other_path.read_bytes()


def test_another_codec_makes_other_codes(tmp_path, models):
    folder = make(tmp_path / "data", 2)
    Clips.open(folder).encode(models[1])
    clips = Clips.open(folder)
    assert clips.encode(models[2]) == 2  # mono sound is heard on both sides
    codes = Clips.open(folder).clips[0].codes()
    assert codes.shape == (8, 25)
    np.testing.assert_array_equal(codes[0::2], codes[1::2])


def test_stereo_is_mixed_for_a_mono_codec(tmp_path, models):
    clips = Clips.open(make(tmp_path / "data", 1, channels=2))
    clips.encode(models[1])
    assert clips.clips[0].codes().shape == (4, 25)


def test_models_with_one_codec_share_their_codes(models):
    one, other = (fingerprint(Codec(models[1].codec, channels)) for channels in (1, 2))
    assert one == other
    network = tiny.make(seed=1)
    assert fingerprint(Codec(network.audio_encoder)) != one


def edited(folder, name, change):
    table = json.loads((folder / name).read_text())
    change(table)
    (folder / name).write_text(json.dumps(table))


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("data.json", lambda table: table.update(rate=44100), "its rate is 44100 Hz"),
        ("data.json", lambda table: table.update(format=2), "its format is 2"),
        ("data.json", lambda table: table.update(channels=6), "1 or 2 channels"),
        ("manifest.json", list.clear, "lists no clips"),
        ("manifest.json", lambda lines: lines[1].pop("prompt"), "clip 2 has no 'prompt'"),
        ("manifest.json", lambda lines: lines[0].update(prompt=3), "'prompt' cannot be 3"),
        ("manifest.json", lambda lines: lines[0].update(split="x"), "its split is"),
        ("manifest.json", lambda lines: lines.append("x"), "clip 6 is no object"),
    ],
)
def test_a_wrong_data_set_is_one_line(tmp_path, name, change, text):
    folder = make(tmp_path / "data")
    edited(folder, name, change)
    with pytest.raises(SidemanError, match=text) as caught:
        Clips.open(folder)
    assert "\n" not in caught.value.text


def test_a_clip_of_another_rate_is_refused(tmp_path, models):
    folder = make(tmp_path / "data")
    soundfile.write(folder / "clips/000003.wav", np.zeros(22050), 44100)
    with pytest.raises(
        SidemanError, match=r"000003.wav is at 44100 Hz, and the data set says 32000"
    ):
        Clips.open(folder).encode(models[1])


def test_a_folder_without_data_says_what_to_do(tmp_path):
    with pytest.raises(SidemanError, match="make one with `sideman train audio-data`"):
        Clips.open(tmp_path)
