"""What all tests share: where the music is, clean user folders, and a real ``sideman``."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.band import Band
from tests.support.tiny_model import make_tiny_model

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def music_data() -> Path:
    """The project's music data; not part of a clone, so tests that need it are skipped there."""
    given = os.environ.get("SIDEMAN_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the project's music data")
    return folder


@pytest.fixture(autouse=True)
def user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders for config and data: no test sees, or leaves, anything of the user's."""
    home = tmp_path_factory.mktemp("user")
    for name in ("CONFIG", "DATA"):
        (home / name.lower()).mkdir()
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
    return home


@pytest.fixture
def free_port() -> int:
    """A port of the loopback address that neither UDP nor TCP uses now."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture
def sideman() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line in a process of its own, as a user would."""

    def run(*arguments: str, module: str = "bridge.cli") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of random weights."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def band(tiny_model: Path) -> Band:
    """A band at rest, with its model loaded and nothing played."""
    return Band(tiny_model)
