"""``sideman doctor --audio``: a model of sound is proved, or what is wrong with it is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from bridge import cli, doctor, doctor_audio  # noqa: E402
from bridge.config import Config  # noqa: E402
from bridge.doctor import Check, Status  # noqa: E402
from engine.models import store  # noqa: E402
from engine.models.musicgen import tiny  # noqa: E402

CHECKS = [
    "audio model",
    "audio load",
    "audio parity from text",
    "audio parity after a loop",
    "audio codec",
    "audio speed",
    "audio seam",
    "audio memory",
]


@pytest.fixture(scope="module", autouse=True)
def _small(request: pytest.FixtureRequest) -> None:
    """As little as can be measured at all."""
    patch = pytest.MonkeyPatch()
    patch.setattr(doctor_audio, "COPIED", 1 << 22)
    patch.setattr(doctor_audio, "TIMED_STEPS", 5)
    request.addfinalizer(patch.undo)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    parent = tmp_path_factory.mktemp("sound")
    return {channels: tiny.write(parent, channels=channels) for channels in (1, 2)}


@pytest.fixture
def folder(made: dict[int, Path], tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(made[1], tmp_path / "spoilt")


def examined(folder: Path) -> dict[str, Check]:
    checks = list(doctor_audio.examine(str(folder)))
    for check in checks:
        assert check.text and "\n" not in check.text
        assert check.remedy or check.status is Status.OK
    return {check.name: check for check in checks}


@pytest.mark.parametrize("channels", [1, 2], ids=["mono", "stereo"])
def test_a_sound_model_is_proved(made: dict[int, Path], channels: int) -> None:
    checks = examined(made[channels])
    assert list(checks) == CHECKS
    assert all(check.status is not Status.FAIL for check in checks.values())
    for name in CHECKS[:5]:
        assert checks[name].status is Status.OK, checks[name]
    assert "Apache-2.0, hash agrees" in checks["audio model"].text
    assert "real time" in checks["audio speed"].text


def test_a_folder_without_a_description_will_do(folder: Path) -> None:
    (folder / "model.json").unlink()
    checks = examined(folder)
    assert list(checks) == CHECKS
    assert "CC-BY-NC-4.0" in checks["audio model"].text


def test_weights_that_changed_are_found_out(folder: Path) -> None:
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\0\0\0\0")
    (check,) = examined(folder).values()
    assert check.status is Status.FAIL and "SHA-256" in check.text


def test_codes_that_are_not_transformers_fail(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy = doctor_audio._greedy

    def wrong(*arguments: object) -> object:
        codes = greedy(*arguments)  # type: ignore[arg-type]
        codes[:, 0, -2] ^= 1
        return codes

    monkeypatch.setattr(doctor_audio, "_greedy", wrong)
    checks = examined(folder)
    for name, frame in (("audio parity from text", 8), ("audio parity after a loop", 33)):
        assert checks[name].status is Status.FAIL
        assert f"frame {frame} of" in checks[name].text
    assert "audio memory" in checks, "the rest is looked at all the same"


def test_a_codec_that_does_not_stream_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_audio, "CODEC_TOLERANCE", -1.0)
    assert examined(folder)["audio codec"].status is Status.FAIL


def test_a_slow_machine_is_told_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_audio, "_step_seconds", lambda model: [0.05] * 4)
    check = examined(folder)["audio speed"]
    assert check.status is Status.WARN
    assert "20 a second, 0.40 times real time" in check.text


@pytest.mark.parametrize(
    ("name", "says"),
    [("default", "a model for midi"), ("no-such", "no model"), ("/", "holds no model")],
)
def test_what_is_no_sound_model_fails(name: str, says: str) -> None:
    (check,) = doctor_audio.examine(name)
    assert check.status is Status.FAIL and says in check.text


def test_the_loop_ends_where_it_begins() -> None:
    for rate in (32_000, 44_100, 48_000):
        sound = doctor_audio.loop(rate)
        assert sound.shape == (8 * (60 * rate // 120), 2)
        assert 0.1 < np.abs(sound).max() < 1
        assert np.abs(sound[-1]).max() < 1e-2


def test_the_command(made: dict[int, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--audio", str(made[1]), "--device", "cpu", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == CHECKS
    assert cli.main(["doctor", "--audio", "no-such"]) == 1
    assert capsys.readouterr().out.startswith("FAIL  audio: there is no model 'no-such'")


def test_a_tiny_model_is_made_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--audio", "musicgen-tiny-random"]) == 0
    assert "musicgen-tiny-random" in store.names()


def test_the_plain_doctor_only_looks_at_models_of_sound(made: dict[int, Path]) -> None:
    home = shutil.copytree(made[1], store.user_folder() / "mine")
    checks = {check.name: check for check in doctor.CHECKS["model"]("model", Config())}
    check = checks["model mine"]
    assert check.status is Status.OK and "doctor --audio mine" in check.text
    (home / "model.safetensors").unlink()
    checks = {check.name: check for check in doctor.CHECKS["model"]("model", Config())}
    assert checks["model mine"].status is Status.FAIL
