"""The doors between the rooms: who may import whom, and what must stay out of a light start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

REPOSITORY = Path(__file__).parents[1]
HEAVY = (
    "torch",
    "transformers",
    "miditok",
    "numba",
    "rtmidi",
    "rich",
    "tensorboard",
    "onnxruntime",
)


def imported(code: str) -> set[str]:
    """The modules that are loaded after ``code`` ran in a fresh interpreter."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(ran.stdout.splitlines()[-1].split())


def test_imports_keep_to_the_rooms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.syspath_prepend(str(REPOSITORY))
    assert lint_imports(no_cache=True) == 0


def test_a_forbidden_import_would_be_seen(tmp_path: Path) -> None:
    for room in ("bridge", "engine", "training"):
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").touch()
    for door in ("engine", "training"):
        (tmp_path / door / "__main__.py").write_text("from bridge import cli\n")
    (tmp_path / "bridge" / "cli.py").touch()
    (tmp_path / "pyproject.toml").write_bytes((REPOSITORY / "pyproject.toml").read_bytes())
    assert _contracts_kept(tmp_path)
    (tmp_path / "engine" / "music.py").write_text("def f():\n    import training\n")
    assert not _contracts_kept(tmp_path)


def _contracts_kept(folder: Path) -> bool:
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    ran = subprocess.run(
        [sys.executable, "-c", command],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode == 0


@pytest.mark.parametrize(
    "module", ["bridge.cli", "bridge.config", "engine.presets", "bridge.serve"]
)
def test_light_modules_import_nothing_heavy(module: str) -> None:
    assert not imported(f"import {module}").intersection(HEAVY)
