"""Ports that come and go, on a MIDI system made of lists."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import pytest

from bridge.midi.ports import Ports, find
from bridge.midi.wire import Port


class FakeHandle:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = self.broken = False

    def send(self, data: bytes) -> None:
        if self.broken:
            raise OSError("gone")
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True


class FakeSystem:
    """What is there is what the lists say."""

    name = "fake"

    def __init__(self) -> None:
        self.there: dict[str, list[str]] = {"in": [], "out": []}
        self.handles: list[tuple[Port, FakeHandle, Callable[[bytes], None]]] = []
        self.refuses = False
        self.now = 100.0
        self.opening: Callable[[], None] = lambda: None

    def names(self, role: str) -> list[str]:
        return list(self.there[role])

    def open(self, port: Port, name: str, received: Callable[[bytes], None]) -> FakeHandle:
        if self.refuses:
            raise OSError("busy")
        self.opening()
        handle = FakeHandle()
        self.handles.append((port, handle, received))
        if port.virtual:  # our own output is an input to everybody else, and is seen as one
            self.there["in" if port.role == "out" else "out"].append(f"Sideman:{port.name}")
        return handle


Changes = list[tuple[int, str, str]]


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


def ports(system: FakeSystem, *wanted: Port) -> tuple[Ports, Changes, list[tuple[int, bytes]]]:
    changes: Changes = []
    heard: list[tuple[int, bytes]] = []
    opened = Ports(
        system,
        wanted,
        lambda *what: heard.append(what),
        lambda *what: changes.append(what),
        lambda: system.now,
    )
    return opened, changes, heard


def test_a_port_is_found_by_any_part_of_its_name() -> None:
    names = ["Midi Through:0", "LPX MIDI:1", "lpx"]
    assert find("lpx midi", names) == "LPX MIDI:1"
    assert find("lpx", names) == "lpx"
    assert find("keys", names) is None


def test_ports_open_and_close_when_nobody_is_held_up(system: FakeSystem) -> None:
    opened, _, _ = ports(system, Port("out", "synth"), Port("out", "drums"))
    system.there["out"] = ["synth"]
    opened.look()
    waited: list[int] = []
    opened.before_long = lambda: waited.append(len(system.handles))
    opened.look()
    assert waited == []
    system.there["out"] = ["drums"]
    opened.look()
    assert waited == [1, 1], "before one closes, and before the other opens"
    assert system.handles[0][1].closed


def test_what_is_sent_need_not_wait_for_another_port_to_open(system: FakeSystem) -> None:
    opened, _, _ = ports(system, Port("out", "synth"), Port("out", "drums"))
    system.there["out"] = ["synth"]
    opened.look()
    system.there["out"] = ["synth", "drums"]
    sent = []

    def elsewhere() -> None:
        sender = Thread(target=lambda: sent.append(opened.send(b"\x90\x3c\x5a")))
        sender.start()
        sender.join(5.0)

    system.opening = elsewhere
    opened.look()
    assert sent == [True]


def test_a_named_port_opens_once_it_is_there(system: FakeSystem) -> None:
    opened, changes, heard = ports(system, Port("in", "keys"))
    opened.look()
    opened.look()
    assert len(changes) == 1 and "no such port" in changes[0][2]
    system.there["in"].append("My Keys 1")
    opened.look()
    assert changes[1:] == [(0, "My Keys 1", "")]
    system.handles[0][2](b"\x90\x3c\x5a")
    assert heard == [(0, b"\x90\x3c\x5a")]


def test_a_port_that_vanishes_is_opened_again_when_it_returns(system: FakeSystem) -> None:
    opened, changes, _ = ports(system, Port("out", "synth"))
    system.there["out"] = ["Synth"]
    opened.look()
    assert opened.send(b"\x90\x3c\x5a")
    system.there["out"] = []
    opened.look()
    assert system.handles[0][1].closed
    assert not opened.send(b"\x90\x3c\x5a")
    system.there["out"] = ["Synth"]
    opened.look()
    assert [problem for *_, problem in changes] == ["", "it has vanished", ""]
    assert opened.send(b"\x90\x3e\x5a")
    assert system.handles[1][1].sent[-1] == b"\x90\x3e\x5a"


def test_what_sounded_when_a_port_vanished_ends_when_it_returns(system: FakeSystem) -> None:
    opened, _, _ = ports(system, Port("out", "synth"))
    system.there["out"] = ["synth"]
    opened.look()
    for data in (b"\x90\x3c\x5a", b"\x91\x3e\x5a", b"\x90\x40\x5a", b"\x80\x40\x00"):
        opened.send(data)
    system.now += 10.0
    opened.send(b"\x91\x3e\x00")  # it may be gone already, though nobody has seen it
    system.there["out"] = []
    opened.look()
    opened.send(b"\x80\x3c\x00")  # nobody hears it
    system.there["out"] = ["synth"]
    opened.look()
    assert system.handles[1][1].sent == [b"\x80\x3c\x00", b"\x81\x3e\x00"]


def test_our_own_ports_are_seen_from_the_other_side(system: FakeSystem) -> None:
    opened, changes, _ = ports(
        system, Port("in", "Sideman In", True), Port("out", "Sideman Out", True)
    )
    opened.look()
    opened.look()
    assert changes == [(0, "Sideman In", ""), (1, "Sideman Out", "")]
    system.there = {"in": [], "out": []}  # the MIDI server went away
    opened.look()
    opened.look()
    assert [change[2] for change in changes[2:]] == ["it has vanished"] * 2 + ["", ""]


def test_an_output_that_breaks_while_sending_is_replaced(system: FakeSystem) -> None:
    opened, changes, _ = ports(system, Port("out", "synth"))
    system.there["out"] = ["synth"]
    opened.look()
    system.handles[0][1].broken = True
    assert not opened.send(b"\x90\x3c\x5a")
    opened.look()
    assert system.handles[0][1].closed and len(system.handles) == 2
    assert [problem for *_, problem in changes] == ["", "it takes no messages any more", ""]


def test_lights_and_music_go_to_their_own_ports(system: FakeSystem) -> None:
    opened, _, _ = ports(system, Port("out", "synth"), Port("lights", "pads"))
    system.there["out"] = ["synth", "pads"]
    opened.look()
    opened.send(b"\x90\x3c\x5a")
    opened.send(b"\x90\x0b\x15", "lights")
    assert [handle.sent for _, handle, _ in system.handles] == [
        [b"\x90\x3c\x5a"], [b"\x90\x0b\x15"],
    ]  # fmt: skip


def test_a_port_that_cannot_be_opened_is_complained_of_once(system: FakeSystem) -> None:
    opened, changes, _ = ports(system, Port("in", "keys"))
    system.there["in"] = ["keys"]
    system.refuses = True
    opened.look()
    opened.look()
    assert changes == [(0, "keys", "busy")]
    system.refuses = False
    opened.look()
    assert changes[-1] == (0, "keys", "")
