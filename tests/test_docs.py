"""The first pages that a user reads say what is true: their examples go through the real tables."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from pythonosc import osc_server, udp_client

from bridge import config
from engine import messages

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
START = (REPOSITORY / "docs" / "getting-started.md").read_text(encoding="utf-8")
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def block(language: str, page: str = START) -> str:
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def spoken(line: str) -> tuple[str, list[object]]:
    """A message as the pages write it: quoted texts, and numbers."""
    address, *words = shlex.split(line, posix=False)
    return address, [
        word.strip('"') if word.startswith('"') else float(word) if "." in word else int(word)
        for word in words
    ]


@pytest.mark.parametrize("line", re.findall(r"^\| `(/sideman/[^`]*)`", README, re.MULTILINE))
def test_messages_of_the_readme_are_commands(line: str) -> None:
    address, arguments = spoken(line)
    messages.parse(address, arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_config_example_is_a_config(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(block("toml"), encoding="utf-8")
    assert config.load(file).parameters == {"temperature": 0.95}


def test_the_first_conversation_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[messages.Command] = []

    class Client:
        def __init__(self, host: str, port: int) -> None:
            assert (host, port) == ("127.0.0.1", 9700)

        def send_message(self, address: str, arguments: list[Any]) -> None:
            sent.append(messages.parse(address, arguments))

    class Server:
        def __init__(self, *_: object) -> None: ...

        def serve_forever(self) -> None: ...

    monkeypatch.setattr(udp_client, "SimpleUDPClient", Client)
    monkeypatch.setattr(osc_server, "BlockingOSCUDPServer", Server)
    exec(compile(block("python"), "getting-started.md", "exec"), {})
    kinds = [type(command).__name__ for command in sent]
    assert kinds == ["Hello", "TrackSet", "Transport", *["TrackNote"] * 8, "Ask"]
