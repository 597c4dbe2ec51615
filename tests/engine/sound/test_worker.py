"""The worker for sound: models that come and go, adapters that wait for the bar line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.errors import Code
from engine.worker import sound as module
from engine.worker import wire
from engine.worker.sound import SoundWorker
from tests.engine.sound.conftest import RATE
from tests.support.peft_adapter import write

MODEL = "noise"


class Stage:
    """A worker that does what it is told at once, and what it said."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.said: list[Any] = []
        self.worker = SoundWorker(self.said.append, **{"patient": True} | how)
        self.folder = folder

    def load(self, name: str = MODEL, folder: Path | None = None) -> Any:
        self.worker.handle(wire.Load(name, str(folder or self.folder)))
        return self.said[-1]

    def make(self, wish: wire.SoundWish, job: int = 1, model: str = MODEL, **how: Any) -> None:
        self.worker.handle(wire.MakeSound(job, model, wish, **how))

    def run(self, until: type | None = None) -> None:
        seen = len(self.said)
        while self.worker.work():
            if until is not None and any(isinstance(m, until) for m in self.said[seen:]):
                return

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.said if isinstance(message, kind)]

    def sound(self, job: int = 1) -> np.ndarray:
        data = b"".join(m.data for m in self.of(wire.Sound) if m.job == job)
        return np.frombuffer(data, "<f4").reshape(-1, 2)


@pytest.fixture
def stage(noise_model: Path) -> Stage:
    stage = Stage(noise_model)
    assert isinstance(stage.load(), wire.Loaded)
    return stage


@pytest.fixture(scope="session")
def dub(noise_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("adapters") / "dub", noise_model, seed=1)


@pytest.fixture(scope="session")
def house(noise_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("adapters") / "house", noise_model, seed=2)


def wish(loop: Path, bars: int = 2, **how: Any) -> wire.SoundWish:
    frames = soundfile.info(loop).frames
    past = [wire.Piece(str(loop), 0, frames)]
    return wire.SoundWish(
        past=past, rate=RATE, bpm=120.0, meters=[(0, 4, 4)], bar=2, bars=bars, seed=3, **how
    )


class TestModels:
    def test_what_it_says_of_one(self, stage: Stage) -> None:
        loaded = stage.said[0]
        assert loaded.frame_seconds == 0.02 and loaded.step_seconds > 0
        assert len(loaded.weights_hash) == 64

    def test_one_that_is_made_on_the_spot(self, noise_model: Path, user_folders: Path) -> None:
        stage = Stage(noise_model)
        folder = user_folders / "data" / "sideman" / "models" / "musicgen-tiny-random"
        assert isinstance(stage.load("musicgen-tiny-random", folder), wire.Loaded)
        assert (folder / "model.json").is_file()

    def test_one_that_is_damaged(self, stage: Stage, tmp_path: Path, noise_model: Path) -> None:
        for file in noise_model.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        weights = tmp_path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        failed = stage.load("damaged", tmp_path)
        assert (failed.model, failed.code) == ("damaged", Code.BAD_FILE)

    def test_it_answers_while_one_loads(
        self, noise_model: Path, loop: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage = Stage(noise_model, patient=False)
        stage.worker.handle(wire.Load(MODEL, str(noise_model)))
        stage.make(wish(loop, 1))
        stage.worker.handle(wire.Ping(7))
        assert stage.said == [wire.Pong(7)] and stage.worker.loading
        deadline = time.monotonic() + 60
        while stage.worker.loading and time.monotonic() < deadline:
            stage.worker.work()
        stage.run()
        assert len(stage.of(wire.SoundDone)) == 1

    def test_one_that_was_not_used_makes_room(self, noise_model: Path, loop: Path) -> None:
        stage = Stage(noise_model)
        stage.load("first")
        size = stage.worker._models["first"].model.nbytes
        on_disk = module.size_of(noise_model, module.read_info(noise_model), "cpu")
        stage = Stage(noise_model, budget=2 * size + on_disk // 2)
        stage.load("first")
        stage.load("second")
        stage.make(wish(loop, 1), model="first")
        stage.run()
        stage.load("third")
        assert stage.of(wire.Unloaded) == [wire.Unloaded("second")]

    def test_one_that_does_not_fit_is_refused_with_the_figures(self, noise_model: Path) -> None:
        failed = Stage(noise_model, budget=1000).load()
        assert failed.code == Code.OUT_OF_MEMORY and "MiB" in failed.text

    def test_one_in_use_is_not_unloaded_for_another(self, noise_model: Path, loop: Path) -> None:
        stage = Stage(noise_model)
        stage.load()
        budget = int(1.5 * stage.worker._models[MODEL].model.nbytes)
        stage = Stage(noise_model, budget=budget)
        stage.load()
        stage.make(wish(loop, 1))
        stage.run(wire.Sound)
        assert stage.load("other").code == Code.OUT_OF_MEMORY
        stage.run()
        assert len(stage.of(wire.SoundDone)) == 1


class TestAdapters:
    def adapt(self, stage: Stage, **strengths: tuple[Path, float]) -> Any:
        listed = [(name, str(folder), s) for name, (folder, s) in strengths.items()]
        stage.worker.handle(wire.Adapt(MODEL, listed))
        return stage.of(wire.Adapted)[-1]

    def take(self, stage: Stage, loop: Path, job: int, **how: Any) -> np.ndarray:
        stage.make(wish(loop), job, **how)
        stage.run()
        return stage.sound(job)

    def test_a_change_waits_for_the_bar_line(self, stage: Stage, loop: Path, dub: Path) -> None:
        plain = self.take(stage, loop, 1)
        stage.make(wish(loop), 2)
        stage.run(wire.Sound)
        assert self.adapt(stage, dub=(dub, 1.0)).code == ""
        stage.run()
        changed = stage.sound(2)
        line = 2 * RATE
        frame = RATE // 50
        # The codec's frames do not end at bar lines, and it smears them a little.
        np.testing.assert_array_equal(changed[: line - 4 * frame], plain[: line - 4 * frame])
        after = slice(line + frame, line + 20 * frame)
        assert not np.array_equal(changed[after], plain[after])

    def test_several_count_at_once(self, stage: Stage, loop: Path, dub: Path, house: Path) -> None:
        one, other = ("dub", str(dub), 0.5), ("house", str(house), 0.7)
        sounds = [
            self.take(stage, loop, job, adapters=adapters)
            for job, adapters in enumerate(([], [one], [other], [one, other], []), 1)
        ]
        np.testing.assert_array_equal(sounds[0], sounds[4])
        for i in range(4):
            for j in range(i):
                assert not np.array_equal(sounds[i], sounds[j])

    def test_each_take_has_its_own(self, stage: Stage, loop: Path, dub: Path) -> None:
        """Two takes side by side of which one has an adapter are made as they are alone."""
        counting = [("dub", str(dub), 1.0)]
        alone = self.take(stage, loop, 1), self.take(stage, loop, 2, adapters=counting)
        stage.make(wish(loop), 3)
        stage.make(wish(loop), 4, adapters=counting)
        stage.run()
        np.testing.assert_array_equal(stage.sound(3), alone[0])
        np.testing.assert_array_equal(stage.sound(4), alone[1])

    def test_one_that_cannot_be_put_on_changes_nothing(
        self, stage: Stage, loop: Path, tmp_path: Path, dub: Path
    ) -> None:
        before = self.take(stage, loop, 1)
        assert self.adapt(stage, gone=(tmp_path / "gone", 1.0)).code
        assert self.adapt(stage, dub=(dub, 7.0)).code == Code.BAD_ARGUMENTS
        np.testing.assert_array_equal(self.take(stage, loop, 2), before)

    def test_before_the_model_is_there_it_waits(self, noise_model: Path, dub: Path) -> None:
        stage = Stage(noise_model, patient=False)
        stage.worker.handle(wire.Load(MODEL, str(noise_model)))
        stage.worker.handle(wire.Adapt(MODEL, [("dub", str(dub), 1.0)]))
        assert not stage.of(wire.Adapted)
        deadline = time.monotonic() + 60
        while not stage.of(wire.Adapted) and time.monotonic() < deadline:
            stage.worker.work()
        assert stage.of(wire.Adapted)[0].code == ""


class TestFiles:
    def test_rates_and_channels_are_brought_together(self, tmp_path: Path) -> None:
        mono, stereo = tmp_path / "mono.wav", tmp_path / "stereo.wav"
        soundfile.write(mono, np.full((8000, 1), 0.25), 8000, subtype="FLOAT")
        soundfile.write(stereo, np.full((1600, 2), 0.25), 16_000, subtype="FLOAT")
        pieces = [wire.Piece(str(mono), 4000, 4000), wire.Piece(str(stereo), 0, 1600)]
        found = module.read(pieces, 16_000)
        assert found.shape == (8000 + 1600, 2) and found.dtype == np.float32
        np.testing.assert_allclose(found[500:7500], 0.25, atol=1e-3)

    def test_equal_sound_has_an_equal_name(self) -> None:
        sound = np.ones((10, 1), np.float32)
        assert module.digest(sound, "a") == module.digest(sound.copy(), "a")
        assert module.digest(sound, "a") != module.digest(sound, "b")
