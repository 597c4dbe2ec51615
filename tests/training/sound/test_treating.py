"""From a sound file to clips: heard, levelled, cut."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from engine.audio.level import loudness as standard_loudness
from training.sound import hearing
from training.sound.cutting import FRAME, Cutting, cuts, sounding
from training.sound.dataset import RATE
from training.sound.hearing import UnusableError, hear
from training.sound.levels import CEILING, Level, decibels, levelled, loudness
from training.sound.treating import Treatment, treat


def tone(seconds=1.0, rate=RATE, frequency=440.0, level=0.5):
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(
        np.float32
    )


# --- hearing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 22_050, 32_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_any_format_and_rate_sounds_the_same_at_32_khz(tmp_path, suffix, rate):
    if (suffix, rate) in {("mp3", 96_000)}:
        pytest.skip("MP3 has no such rate")
    path = tmp_path / f"x.{suffix}"
    soundfile.write(path, tone(1.0, rate), rate)
    audio, heard_rate, channels = hear(path, 1)
    assert (heard_rate, channels, audio.shape[1], audio.dtype) == (rate, 1, 1, np.float32)
    # MP3 adds silence around the sound.
    assert abs(len(audio) - RATE) <= (0.2 * RATE if suffix == "mp3" else 2)
    middle = audio[RATE // 4 : RATE // 4 + RATE // 2, 0]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert abs(int(spectrum.argmax()) * 2 - 440) <= 2
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)


def test_resampling_keeps_what_is_heard_and_no_mirror_of_what_is_not(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(1.0, 96_000, 1000) + tone(1.0, 96_000, 30_000), 96_000, "FLOAT")
    audio = hear(path, 1).audio[:, 0]
    expected = tone(1.0, RATE, 1000)
    inside = slice(2000, -2000)
    assert np.abs(audio[inside] - expected[inside]).max() < 1e-3


def test_channels_are_mixed_or_heard_on_both_sides(tmp_path):
    left, right = tone(frequency=440), tone(frequency=880)
    soundfile.write(tmp_path / "two.wav", np.stack([left, right], 1), RATE, "FLOAT")
    soundfile.write(tmp_path / "one.wav", left, RATE, "FLOAT")
    np.testing.assert_allclose(
        hear(tmp_path / "two.wav", 1).audio[:, 0], (left + right) / 2, atol=1e-6
    )
    np.testing.assert_allclose(
        hear(tmp_path / "two.wav", 2).audio, np.stack([left, right], 1), atol=1e-6
    )
    both = hear(tmp_path / "one.wav", 2).audio
    np.testing.assert_array_equal(both[:, 0], both[:, 1])


def damaged(folder):
    """Files that somebody calls sound, by the reason why they are not used."""
    soundfile.write(folder / "whole.flac", tone(4.0), RATE)
    data = (folder / "whole.flac").read_bytes()
    (folder / "cut.flac").write_bytes(data[: len(data) // 3])
    (folder / "noise.wav").write_bytes(b"no sound at all" * 100)
    (folder / "empty.mp3").write_bytes(b"")
    soundfile.write(folder / "short.wav", np.zeros((0, 1)), RATE)
    wrong = tone(0.1)
    wrong[100] = np.nan
    soundfile.write(folder / "nan.wav", wrong, RATE, "FLOAT")
    soundfile.write(folder / "six.wav", np.zeros((100, 6)), RATE)
    return {
        "cut.flac": "damaged|cannot be read",
        "noise.wav": "cannot be read as sound",
        "empty.mp3": "cannot be read as sound",
        "short.wav": "holds no sound",
        "nan.wav": "no numbers",
        "six.wav": "6 channels",
        "gone.wav": "cannot be read",
    }


def test_damaged_files_give_a_reason(tmp_path):
    for name, reason in damaged(tmp_path).items():
        with pytest.raises(UnusableError, match=reason) as caught:
            hear(tmp_path / name, 2)
        assert "\n" not in str(caught.value)


def test_a_file_is_no_longer_than_memory_allows(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.wav", tone(2.0), RATE)
    monkeypatch.setattr(hearing, "LONGEST", 1.0)
    with pytest.raises(UnusableError, match="cut it"):
        hear(tmp_path / "x.wav", 1)


# --- level ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("target", [-30.0, -23.0, -14.0])
def test_loudness_is_brought_to_its_target(channels, target):
    random = np.random.default_rng(3)
    noise = (0.02 * random.standard_normal((12 * RATE + 77, channels))).astype(np.float32)
    made = levelled(noise, Level.LUFS, target)
    assert standard_loudness(made, RATE) == pytest.approx(target, abs=0.05)
    assert loudness(noise) == pytest.approx(standard_loudness(noise, RATE), abs=0.05)


def test_peaks_are_never_clipped_for_the_sake_of_loudness():
    clicks = np.zeros((2 * RATE, 1), np.float32)
    clicks[::8000] = 0.5
    made = levelled(clicks, Level.LUFS, -14.0)
    assert decibels(made) == pytest.approx(CEILING, abs=0.01)


@pytest.mark.parametrize("level", [1e-3, 0.5, 1.7])
def test_peaks_are_brought_to_their_target(level):
    sound = tone(level=level)[:, None]
    assert decibels(levelled(sound, Level.PEAK, -1.0)) == pytest.approx(-1.0, abs=1e-3)
    left = levelled(sound, Level.NONE, 0.0)
    assert decibels(left) == pytest.approx(min(0.0, decibels(sound)), abs=1e-3)


# --- cutting -------------------------------------------------------------------------------------

LENGTHS = st.floats(0.1, 40, allow_nan=False)


@given(
    st.integers(0, 60 * RATE),
    st.builds(
        Cutting,
        length=LENGTHS,
        stride=st.none() | LENGTHS,
        shortest=LENGTHS,
        most=st.none() | st.integers(1, 5),
    ),
)
def test_clips_lie_inside_and_are_whole_frames(samples, cutting):
    found = cuts(samples, cutting)
    assert len(found) <= (cutting.most or len(found))
    for start, end in found:
        assert 0 <= start < end <= samples and (end - start) % FRAME == 0
        assert end - start <= max(FRAME, round(cutting.length * RATE / FRAME) * FRAME)
    ends = [end for _, end in found]
    assert ends == sorted(set(ends))  # none lies within another


@given(st.integers(1, 100 * RATE), LENGTHS)
def test_side_by_side_clips_lose_less_than_a_frame(samples, length):
    found = cuts(samples, Cutting(length=length, shortest=0.02))
    places = [place for cut in found for place in cut]
    assert places[1:-1:2] == places[2::2]  # each begins where the one before ends
    assert samples - (places[-1] if places else 0) < FRAME


@pytest.mark.parametrize(
    ("seconds", "cutting", "places"),
    [
        (70, Cutting(30), [(0, 30), (30, 60), (60, 70)]),
        (60, Cutting(30), [(0, 30), (30, 60)]),
        (60.5, Cutting(30), [(0, 30), (30, 60)]),
        (70, Cutting(30, shortest=30), [(0, 30), (30, 60)]),
        (70, Cutting(30, stride=20), [(0, 30), (20, 50), (40, 70)]),
        (70, Cutting(10, stride=30), [(0, 10), (30, 40), (60, 70)]),
        (70, Cutting(30, most=1), [(0, 30)]),
        (5, Cutting(30), [(0, 5)]),
        (0.5, Cutting(30), []),
    ],
)
def test_clips_are_where_a_user_expects_them(seconds, cutting, places):
    found = cuts(round(seconds * RATE), cutting)
    assert [(start / RATE, end / RATE) for start, end in found] == places


def test_silence_around_is_trimmed_and_rests_inside_stay():
    quiet = np.zeros(2 * RATE, np.float32)
    sound = np.concatenate([quiet, tone(1), quiet, tone(1), quiet])[:, None]
    first, last = sounding(sound)
    assert first == pytest.approx(2 * RATE, abs=0.06 * RATE) and first < 2 * RATE
    assert last == pytest.approx(6 * RATE, abs=0.06 * RATE) and last > 6 * RATE
    assert sounding(np.zeros((RATE, 1), np.float32)) == (0, 0)
    assert sounding(np.zeros((0, 1), np.float32)) == (0, 0)


# --- all of it -----------------------------------------------------------------------------------


def treated(path, kept, **changes):
    cutting = Cutting(**{"length": 1.0, "shortest": 0.5, **changes})
    return treat(path, Treatment(cutting=cutting), kept)


def test_clips_are_kept_by_the_file_s_content(tmp_path):
    silence = np.zeros(RATE, np.float32)
    soundfile.write(tmp_path / "x.wav", np.concatenate([tone(1), silence, tone(1)]), RATE)
    made = treated(tmp_path / "x.wav", tmp_path / "kept")
    assert [(clip.start, clip.seconds) for clip in made.clips] == [(0.0, 1.0), (2.0, 1.0)]
    assert made.silent == 1 and made.rate == RATE and not made.reason
    for clip in made.clips:
        sound, rate = soundfile.read(tmp_path / "kept" / made.sha256 / clip.file)
        assert rate == RATE and 20 * np.log10(np.abs(sound).max()) == pytest.approx(-1, abs=0.01)
    (tmp_path / "x.wav").rename(tmp_path / "y.wav")
    before = (tmp_path / "kept" / made.sha256 / "record.json").stat().st_mtime_ns
    assert treated(tmp_path / "y.wav", tmp_path / "kept") == made
    assert (tmp_path / "kept" / made.sha256 / "record.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("sound", "changes", "reason"),
    [
        (np.zeros(RATE), {}, "is silent"),
        (tone(0.3), {}, r"lasts 0.30 s, less than 0.5"),
        (np.concatenate([np.zeros(RATE), tone(1)]), {"most": 1}, "is silent wherever"),
    ],
)
def test_what_gives_no_clip_gives_a_reason_and_keeps_nothing(tmp_path, sound, changes, reason):
    soundfile.write(tmp_path / "x.wav", sound, RATE)
    made = treated(tmp_path / "x.wav", tmp_path / "kept", **changes)
    assert reason in made.reason and not made.clips
    assert not (tmp_path / "kept").exists()
