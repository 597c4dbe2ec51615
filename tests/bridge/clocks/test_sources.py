"""Which source drives the song, and what becomes of what the others say."""

from __future__ import annotations

import pytest

from bridge.clocks import sources
from bridge.clocks.midi_clock import MidiClock
from bridge.clocks.sources import Clocks
from bridge.config import ClockSource
from engine.errors import SidemanError
from engine.messages import parse
from engine.timing import Course
from tests.support.band import Band

TRANSPORT = parse("/sideman/transport", (1, 100.0, 4, 0.0, 3, 4))


class FakeLink:
    """A Link session in which nobody else is."""

    def __init__(self, leading: bool = False) -> None:
        self.said: list[tuple[object, ...]] = []
        self.relocations = 0
        self.course: Course | None = Course(0.0, 0.0, 1920.0, False)

    def set_tempo(self, bpm: float) -> None:
        self.said.append(("tempo", bpm))

    def locate(self, now: float, tick: int, bar_line: int, quantum: float) -> None:
        self.said.append(("locate", tick, bar_line, quantum))

    def set_playing(self, now: float, playing: bool) -> None:
        self.said.append(("playing", playing))

    def set_meter(self, now: float, bar_line: int, quantum: float) -> None:
        self.said.append(("meter", bar_line, quantum))

    def poll(self, now: float) -> Course | None:
        return self.course

    def close(self) -> None:
        self.said.append(("close",))


def obeys(clocks: Clocks, band: Band) -> bool:
    """As :mod:`bridge.serve` does: what the sources do not take is the conductor's."""
    taken = clocks.takes(TRANSPORT, band.now)
    if not taken:
        band.conductor.handle(TRANSPORT, 1, band.now)
    return not taken


def leading(band: Band) -> object:
    return band.conductor.settings.facts["clock"]


def test_osc_leads_where_nothing_better_does(band: Band) -> None:
    clocks = Clocks("auto", band.conductor)
    assert leading(band) == "internal"
    assert obeys(clocks, band)
    assert leading(band) == "osc"
    assert band.out.values.count(("clock", "osc")) == 1


@pytest.mark.parametrize("late_ms", [0.0, 12.5, -8.0])
def test_a_midi_clock_that_comes_late_is_put_right(band: Band, late_ms: float) -> None:
    clocks = Clocks("auto", band.conductor)
    clocks.use_midi(MidiClock())
    band.conductor.handle(parse("/sideman/set", ("clock_latency", late_ms)), 1, band.now)
    clocks.midi(Course(band.now, 960.0, 2000.0, True), band.now, True)
    clock = band.conductor.clock
    assert clock.tick(band.now) == 960 + 2 * late_ms
    clocks.midi(Course(band.now, 4800.0, 2000.0, False), band.now, True)
    assert clock.tick(band.now) == 4800  # it stands where it stands


def test_midi_clock_goes_before_osc_and_osc_takes_over_when_it_is_gone(band: Band) -> None:
    clocks = Clocks("auto", band.conductor)
    clocks.use_midi(MidiClock())
    assert obeys(clocks, band)
    clocks.midi(Course(band.now, 960.0, 2400.0, True), band.now, True)
    assert leading(band) == "midi"
    assert band.conductor.clock.bpm == pytest.approx(150)
    assert not obeys(clocks, band), "what OSC says of time is passed over meanwhile"
    assert band.conductor.clock.bpm == pytest.approx(150)
    band.now += 2.5
    clocks.tick(band.now)
    assert leading(band) == "osc"
    assert band.conductor.clock.playing, "the song goes on at its last tempo"
    assert obeys(clocks, band)


@pytest.mark.parametrize("choice", ["internal", "osc"])
def test_our_own_clock_may_be_set_by_osc(band: Band, choice: ClockSource) -> None:
    clocks = Clocks(choice, band.conductor)
    assert obeys(clocks, band)
    assert leading(band) == choice
    assert band.conductor.clock.bpm == 100


def test_osc_is_refused_where_midi_was_chosen(band: Band) -> None:
    clocks = Clocks("midi", band.conductor)
    with pytest.raises(SidemanError, match="serve with --clock auto or osc"):
        clocks.takes(TRANSPORT, band.now)


def test_a_plugin_goes_before_all_others(band: Band) -> None:
    clocks = Clocks("auto", band.conductor)
    clocks.midi(Course(band.now, 960.0, 2400.0, True), band.now, True)
    assert not clocks.takes(TRANSPORT, band.now, "plugin")
    assert leading(band) == "plugin"
    clocks = Clocks("plugin", band.conductor)
    assert not clocks.takes(TRANSPORT, band.now, "plugin")
    with pytest.raises(SidemanError, match="led by plugin"):
        clocks.takes(TRANSPORT, band.now)


def test_midi_clock_counts_for_nothing_where_osc_was_chosen(band: Band) -> None:
    clocks = Clocks("osc", band.conductor)
    clocks.midi(Course(band.now, 960.0, 2400.0, True), band.now, True)
    assert leading(band) == "osc" and not band.conductor.clock.playing


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> FakeLink:
    fake = FakeLink()
    monkeypatch.setattr(sources, "LinkClock", lambda leading: fake)
    return fake


def test_a_client_leads_link_by_its_transport(band: Band, link: FakeLink) -> None:
    clocks = Clocks("link", band.conductor)
    assert clocks.takes(TRANSPORT, band.now)
    line = 4 * 3840
    assert link.said == [("tempo", 100.0), ("locate", line, line, 3.0), ("playing", True)]
    link.course = Course(band.now, line, 1600.0, True)
    clocks.tick(band.now)
    assert band.conductor.clock.playing and band.conductor.clock.bpm == pytest.approx(100)
    assert band.conductor.clock.position(band.now).bar == 4
    assert leading(band) == "link"


def test_link_is_told_the_song_s_meter(band: Band, link: FakeLink) -> None:
    clocks = Clocks("link", band.conductor)
    band.send("/sideman/set", "meter", "7/8")
    clocks.tick(band.now)
    assert link.said == [("meter", 0, 3.5)]


def test_a_tempo_that_is_set_is_link_s_too(band: Band, link: FakeLink) -> None:
    clocks = Clocks("link", band.conductor)
    assert not clocks.takes(parse("/sideman/set", ("tempo", 90.0)), band.now)
    assert link.said == [("tempo", 90.0)]


def test_auto_follows_link_where_it_may_and_somebody_is_there(band: Band, link: FakeLink) -> None:
    clocks = Clocks("auto", band.conductor, hears_link=True)
    link.course = None
    clocks.tick(band.now)
    assert leading(band) == "internal"
    assert obeys(clocks, band)
    link.course = Course(band.now, 0.0, 1920.0, True)
    clocks.tick(band.now + 0.1)
    assert leading(band) == "link"
    link.course = None
    clocks.tick(band.now + 0.2)
    assert leading(band) == "osc"


def test_link_is_joined_only_where_it_was_chosen(band: Band, link: FakeLink) -> None:
    clocks = Clocks("auto", band.conductor)
    assert clocks.next_moment() is None
    clocks.close()
    assert link.said == []
