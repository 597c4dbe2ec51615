"""Each bench runs and prints its table; what the figures are is not looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNS = {
    "audio_step": ["--sizes", "2 layers, tiny", "--frames", "30"],
    "audio_take": [
        "--sizes",
        "2 layers, tiny",
        "--seconds",
        "1",
        "--takes",
        "1",
        "--requests",
        "1",
    ],
    "first_note": ["--triggers", "1", "--no-peers"],
    "mask": ["--takes", "1"],
    "midi_jitter": ["--notes", "400", "--peer-notes", "200", "--bars", "1"],
    "next_bar": ["--requests", "4"],
    "startup": ["--starts", "1", "--cold", "0", "--first", "0"],
    "variations": ["--requests", "1"],
}


@pytest.fixture(autouse=True)
def keep_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests have empty user folders, but the compiled step may stay where it is."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


@pytest.mark.slow
@pytest.mark.parametrize("script", RUNS)
def test_the_bench_runs(script: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / f"{script}.py", *RUNS[script]],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| :---" in done.stdout
    assert "hold" in done.stdout.lower()


@pytest.mark.slow
def test_a_machine_without_a_gpu_is_refused_in_words(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "bench" / "gpu.sh", tmp_path],
        env=os.environ | {"PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "no GPU" in done.stderr
    assert not list(tmp_path.iterdir())
