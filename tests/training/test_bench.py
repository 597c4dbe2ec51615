"""The bench of the training step runs and prints its table; its figures are not looked at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_bench_runs(token_folder):
    pytest.importorskip("transformers")
    script = ROOT / "bench" / "midi_training.py"
    done = subprocess.run(
        [sys.executable, script, token_folder, "--steps", "1", "--lanes", "2", "--ctx", "32"],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "| Sideman, RWKV-7 " in done.stdout and "| transformers Llama" in done.stdout
