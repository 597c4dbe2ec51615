from pathlib import Path

import numpy as np
import pytest
import soundfile

from bridge.files.audio_file import MP3_RATES, SUFFIXES, audio_writer, read_audio, write_audio
from engine.errors import Code, SidemanError

RNG = np.random.default_rng(1)
NOISE = RNG.uniform(-0.5, 0.5, (12_345, 2)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "encoding", "error"),
    [
        ("a.wav", "int16", 2**-15),
        ("a.wav", "int24", 2**-23),
        ("a.wav", "float", 0),
        ("a.flac", "int16", 2**-15),
        ("A.FLAC", "int24", 2**-23),
    ],
)
def test_samples_survive(tmp_path: Path, name: str, encoding: str, error: float) -> None:
    write_audio(tmp_path / name, NOISE, 48_000, encoding)
    samples, rate = read_audio(tmp_path / name)
    assert rate == 48_000
    assert samples.dtype == np.float32
    assert samples.shape == NOISE.shape
    assert np.abs(samples - NOISE).max() <= error


@pytest.mark.parametrize("rate", MP3_RATES)
def test_mp3_has_exactly_its_frames(tmp_path: Path, rate: int) -> None:
    write_audio(tmp_path / "a.mp3", NOISE, rate)
    samples, read_rate = read_audio(tmp_path / "a.mp3")
    assert (samples.shape, read_rate) == (NOISE.shape, rate)


def test_mp3_bit_rate(tmp_path: Path) -> None:
    second = np.tile(NOISE, (15, 1))
    write_audio(tmp_path / "a.mp3", second, 44_100, mp3_kbps=128)
    bits = 8 * (tmp_path / "a.mp3").stat().st_size
    assert bits * 44_100 / len(second) == pytest.approx(128_000, rel=0.03)


def test_mono_and_blocks(tmp_path: Path) -> None:
    write_audio(tmp_path / "mono.wav", NOISE[:, 0])
    assert read_audio(tmp_path / "mono.wav")[0].shape == (12_345, 1)
    with audio_writer(tmp_path / "blocks.wav", encoding="float") as writer:
        for start in range(0, 12_345, 1000):
            writer.write(NOISE[start : start + 1000])
    assert writer.frames == 12_345
    assert np.array_equal(read_audio(tmp_path / "blocks.wav")[0], NOISE)


def test_loud_samples_are_clipped_not_wrapped(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.array([[1.5], [-1.5]], np.float32))
    samples, _ = read_audio(tmp_path / "a.wav")
    assert samples[0, 0] > 0.99
    assert samples[1, 0] < -0.99


@pytest.mark.parametrize(
    ("name", "rate", "encoding", "reason"),
    [
        ("a.ogg", 44_100, "int16", "'.ogg' is no audio format: use .wav, .flac, .mp3"),
        ("a", 44_100, "int16", "a name without a suffix is no audio format"),
        ("a.mp3", 96_000, "int16", "MP3 has no rate of 96000 Hz"),
        ("a.flac", 44_100, "float", ".flac files hold no float samples: use int16, int24"),
    ],
)
def test_what_cannot_be_written(
    tmp_path: Path, name: str, rate: int, encoding: str, reason: str
) -> None:
    with pytest.raises(SidemanError) as caught:
        write_audio(tmp_path / name, NOISE, rate, encoding)
    assert reason in caught.value.text
    assert caught.value.code is Code.BAD_ARGUMENTS
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_unfinished_file_is_no_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), audio_writer(path) as writer:
        writer.write(NOISE)
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def refused(path: Path, **limits: float) -> str:
    with pytest.raises(SidemanError) as caught:
        read_audio(path, **limits)
    assert caught.value.code is Code.BAD_FILE
    return caught.value.text


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "none.wav")
    junk = tmp_path / "junk.wav"
    junk.write_bytes(b"")
    assert "cannot be read as audio" in refused(junk)
    junk.write_bytes(b"RIFF" + bytes(200))
    assert "cannot be read as audio" in refused(junk)
    silent = tmp_path / "empty.wav"
    soundfile.write(silent, np.zeros((0, 2)), 44_100)
    assert "holds no audio" in refused(silent)
    write_audio(tmp_path / "long.wav", NOISE, 8_000)
    assert "lasts" in refused(tmp_path / "long.wav", max_seconds=1.5)
    assert len(read_audio(tmp_path / "long.wav", max_seconds=1.6)[0]) == 12_345


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    path = tmp_path / "liar.flac"
    write_audio(path, NOISE, 44_100)
    data = bytearray(path.read_bytes())
    # STREAMINFO: 36 bits of total samples end at byte 26 of the file.
    data[21] |= 0x0F
    data[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert "minutes" in refused(path)


def test_an_absurd_rate(tmp_path: Path) -> None:
    path = tmp_path / "fast.wav"
    write_audio(path, NOISE, 44_100)
    data = bytearray(path.read_bytes())
    data[24:28] = (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(data)
    assert "rate" in refused(path)
