"""A SoundFont made by hand, so that no test needs one on the machine."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

GENERAL_MIDI = [(0, program) for program in range(128)] + [(128, 0)]

SAMPLE_MODES, ROOT_KEY, INSTRUMENT, SAMPLE_ID = 54, 58, 41, 53
"""Generators of SoundFont 2.04, section 8.1.2."""


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def soundfont(presets: list[tuple[int, int]]) -> bytes:
    """A square wave, looped, under every (bank, program) that is asked for."""
    rate, period, count = 44_100, 100, 4_400
    wave = np.where(np.arange(count) % period < period // 2, 12_000, -12_000).astype("<i2")
    sample = wave.tobytes() + bytes(2 * 46)
    headers = [
        struct.pack("<20sHHHIII", b"Square", program, bank, i, 0, 0, 0)
        for i, (bank, program) in enumerate(presets)
    ]
    headers.append(struct.pack("<20sHHHIII", b"EOP", 0, 0, len(presets), 0, 0, 0))
    bags = [struct.pack("<HH", i, 0) for i in range(len(presets) + 1)]
    generators = [struct.pack("<HH", INSTRUMENT, 0)] * len(presets) + [bytes(4)]
    zone = ((SAMPLE_MODES, 1), (ROOT_KEY, 69), (SAMPLE_ID, 0), (0, 0))
    instruments = struct.pack("<20sH", b"Square", 0) + struct.pack("<20sH", b"EOI", 1)
    samples = struct.pack(
        "<20sIIIIIBbHH", b"Square", 0, count, period, count - period, rate, 69, 0, 0, 1
    )
    pdta = (
        chunk(b"phdr", b"".join(headers))
        + chunk(b"pbag", b"".join(bags))
        + chunk(b"pmod", bytes(10))
        + chunk(b"pgen", b"".join(generators))
        + chunk(b"inst", instruments)
        + chunk(b"ibag", struct.pack("<HHHH", 0, 0, len(zone) - 1, 0))
        + chunk(b"imod", bytes(10))
        + chunk(b"igen", b"".join(struct.pack("<HH", *pair) for pair in zone))
        + chunk(b"shdr", samples + struct.pack("<20s26x", b"EOS"))
    )
    info = chunk(b"ifil", struct.pack("<HH", 2, 1)) + chunk(b"isng", b"EMU8000\0")
    body = b"sfbk" + chunk(b"LIST", b"INFO" + info + chunk(b"INAM", b"Square\0\0"))
    body += chunk(b"LIST", b"sdta" + chunk(b"smpl", sample)) + chunk(b"LIST", b"pdta" + pdta)
    return chunk(b"RIFF", body)


MakeSoundFont = Callable[..., Path]


@pytest.fixture
def make_soundfont(tmp_path: Path) -> MakeSoundFont:
    def make(name: str = "square.sf2", presets: list[tuple[int, int]] = GENERAL_MIDI) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(soundfont(presets))
        return path

    return make
