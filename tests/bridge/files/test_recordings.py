"""Sound on its way into the session's folder: loaded, recorded while it is made, and recalled."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.clock import SongClock
from bridge.files.audio_file import Recorder
from bridge.files.loader import FileLoader
from bridge.files.session_folder import Scribe, recall
from engine.conductor import Conductor
from engine.errors import Code, SidemanError
from engine.music import MeterMap
from engine.past import Past, Spot
from engine.ports import Chunk
from engine.takes import Take
from engine.tape import Tape
from tests.support.band import Memory, Outbox, Shelf, load_preset
from tests.support.sounds import hits, noise

RATE = 22_050
SPOT = Spot(1, "1", None, MeterMap(), 3, 120.0)


class Desk:
    """A loader whose answers are waited for."""

    def __init__(self, folder: Path) -> None:
        self._posted: SimpleQueue[Any] = SimpleQueue()
        self.folder = folder
        self.loader = FileLoader([folder], self._posted.put)

    def load(self, name: str, audio: np.ndarray | None = None, **how: Any) -> Past | Exception:
        if audio is not None:
            soundfile.write(self.folder / name, audio, RATE, **how)
        found: list[Past | Exception] = []
        self.loader.load(name, SPOT, found.append)
        self._posted.get(timeout=20)()
        return found[0]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


BEAT = hits([0.0, 0.5, 1.0, 1.5], 2.0, RATE)


class TestLoading:
    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.aiff"])
    def test_every_format(self, desk: Desk, name: str) -> None:
        past = desk.load(name, BEAT)
        assert isinstance(past, Past), past
        tape = past.tape
        assert tape is not None and (tape.rate, tape.channels, tape.end) == (RATE, 2, 3)
        kept, rate = soundfile.read(tape.path)
        assert rate == RATE and len(kept) == tape.lines[-1]

    @pytest.mark.parametrize("how", ["PCM_16", "PCM_24", "FLOAT"])
    def test_every_depth(self, desk: Desk, how: str) -> None:
        past = desk.load("a.wav", BEAT, subtype=how)
        assert isinstance(past, Past) and past.tape is not None
        kept, _ = soundfile.read(past.tape.path)
        np.testing.assert_allclose(kept, BEAT, atol=2**-14)

    def test_it_stays_when_its_file_goes(self, desk: Desk) -> None:
        first = desk.load("a.wav", BEAT)
        (desk.folder / "a.wav").unlink()
        second = desk.load("b.wav", BEAT)
        assert isinstance(first, Past) and isinstance(second, Past)
        assert first.tape is not None and second.tape is not None
        assert first.tape.path != second.tape.path
        assert Path(first.tape.path).is_file()

    @pytest.mark.parametrize(
        ("audio", "code"),
        [
            (np.zeros((RATE, 1)), Code.NO_CONTEXT),
            (BEAT[: RATE // 4], Code.NO_CONTEXT),
            (np.where(np.arange(RATE)[:, None] == 9, np.inf, 0.1), Code.BAD_FILE),
            (np.clip(noise(1.0, RATE, 5.0), -1, 1), Code.BAD_FILE),
            (np.repeat(BEAT, 3, axis=1), Code.BAD_FILE),
        ],
    )
    def test_what_is_refused_leaves_nothing(
        self, desk: Desk, audio: np.ndarray, code: Code
    ) -> None:
        error = desk.load("a.wav", audio, subtype="FLOAT")
        assert isinstance(error, SidemanError) and error.code == code
        assert not list(desk.folder.glob("recording-*"))

    def test_no_audio_at_all(self, desk: Desk) -> None:
        (desk.folder / "a.wav").write_bytes(b"RIFFnothing")
        error = desk.load("a.wav")
        assert isinstance(error, SidemanError) and error.code == Code.BAD_FILE


class TestRecorder:
    def test_it_has_its_length_from_the_beginning(self, tmp_path: Path) -> None:
        recorder = Recorder(tmp_path / "a.wav", 100_000, RATE, 2)
        half = noise(1.0, RATE)[:1000]
        recorder.write(0, half.astype("<f4").tobytes())
        now, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
        assert len(now) == 100_000 and not now[1000:].any()
        np.testing.assert_allclose(now[:1000], half, atol=2**-22)
        recorder.write(1000, half.astype("<f4").tobytes())
        recorder.close()
        now, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
        np.testing.assert_allclose(now[1000:2000], half, atol=2**-22)
        assert soundfile.info(tmp_path / "a.wav").subtype == "PCM_24"


def session(folder: Path) -> Conductor:
    return Conductor(
        clock=SongClock(), outbox=Outbox(), store=Memory(), loader=Shelf(),
        preset=load_preset("plain"),
    )  # fmt: skip


class TestRecall:
    def take(self, scribe: Scribe, number: int) -> Take:
        take = Take(number, 1, 2, 1, verb="audio", preset="noise", model="noise", seed=4)
        take.tape = Tape(scribe.path(take), RATE, 2, 2, (0, 2 * RATE))
        take.report = {"licence": "none"}
        return take

    def test_takes_of_sound_are_found_again(self, tmp_path: Path) -> None:
        posted: SimpleQueue[Any] = SimpleQueue()
        scribe = Scribe(tmp_path, posted.put)
        soundfile.write(tmp_path / "recording-0001.wav", BEAT, RATE)
        past = Tape(str(tmp_path / "recording-0001.wav"), RATE, 2, 1, (0, 2 * RATE))
        scribe.write(
            {"event": "recording", "track": 1, "file": "recording-0001.wav", **past.about()}
        )
        whole, dropped = self.take(scribe, 1), self.take(scribe, 2)
        data = noise(2.0, RATE).astype("<f4").tobytes()
        for take in (whole, dropped):
            scribe.sound(take, Chunk(0, 2 * RATE, RATE, 2, data), lambda error: None)
        scribe.save(whole, MeterMap(), 120.0, lambda error: None)
        scribe.write({"event": "placed", "take": 1})
        scribe.drop(dropped)
        scribe.close()
        assert not Path(scribe.path(dropped)).exists()
        assert not list(tmp_path.glob("*.mid"))

        conductor = session(tmp_path)
        recall(tmp_path, conductor)
        found = conductor.session.takes[1]
        assert found.tape == whole.tape and found.report == {"licence": "none"}
        track = conductor.session.track(1)
        assert conductor.session.tapes(track) == [past, whole.tape]

    def test_a_recording_that_is_gone_is_no_past(self, tmp_path: Path) -> None:
        scribe = Scribe(tmp_path, lambda call: None)
        about = Tape("", RATE, 2, 1, (0, 2 * RATE)).about()
        for name in ("gone.wav", "../../secret.wav"):
            scribe.write({"event": "recording", "track": 1, "file": name, **about})
        scribe.close()
        conductor = session(tmp_path)
        recall(tmp_path, conductor)
        assert conductor.session.tapes(conductor.session.track(1)) == []
