"""From MIDI bytes to what the conductor does, and back to lights."""

from __future__ import annotations

import pytest

from bridge.midi import wire
from bridge.midi.door import MidiDoor
from bridge.midi.link import Link
from engine.errors import SidemanError
from engine.messages.replies import Done, Fail, Reply
from engine.music import DRUMS, Position
from engine.requests import OURSELVES
from engine.timing import Course
from engine.triggers import Action, Trigger
from engine.worker.wire import Message
from tests.support.band import Band

PORTS = [
    wire.Port("in", "Sideman In", True),
    wire.Port("in", "Keys"),
    wire.Port("control", "LPX MIDI"),
    wire.Port("lights", "LPX MIDI"),
    wire.Port("out", "Sideman Out", True),
]
TRIGGERS = {
    "16 note 36": "continue",
    "16 note 37": "undo",
    "16 note 38": "panic",
    "1 cc 20": "temperature 0.6..1.4",
    "16 program 3": "preset opener",
    "16 note 40": "continue 7",
    "16 note 41": "keep",
}


class Line:
    pid = 1

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def close(self, timeout: float = 1.0) -> None:
        pass


class Stage:
    """A band that hears MIDI."""

    def __init__(self, band: Band) -> None:
        self.band = band
        self.line = Line()
        self.link = Link(lambda: self.line, wire.Open("jack", PORTS))
        self.shared: list[Reply] = []
        self.led: list[tuple[Course, bool]] = []
        self.door = MidiDoor(
            band.conductor,
            self.link,
            wire.Open("jack", PORTS),
            {Trigger.parse(key): Action.parse(action) for key, action in TRIGGERS.items()},
            16,
            lambda course, now, moved: self.led.append((course, moved)),
            self.shared.append,
        )
        band.conductor.requests.delivery.playing.connect(self.link)
        keep = band.out.reply

        def reply(client: int, said: Reply) -> None:
            keep(client, said)
            if client == OURSELVES:
                self.door.replied(said)

        band.out.reply = reply  # type: ignore[method-assign]

        self.door.receive(wire.PortState(0, "Sideman In"), 0.0)

    def hear(self, *data: int, port: int = 0) -> None:
        self.door.receive(wire.Heard([(port, self.band.now, bytes(data))]), self.band.now)

    def play(self, channel: int, pitch: int, seconds: float = 0.25, port: int = 0) -> None:
        self.hear(0x8F + channel, pitch, 90, port=port)
        self.band.wait(seconds)
        self.hear(0x7F + channel, pitch, 0, port=port)

    def sent(self, kind: type) -> list[Message]:
        return [message for message in self.line.sent if isinstance(message, kind)]

    @property
    def session(self):  # type: ignore[no-untyped-def]
        return self.band.session


@pytest.fixture
def stage(band: Band) -> Stage:
    return Stage(band)


def test_notes_are_the_past_of_the_track_of_their_channel(stage: Stage) -> None:
    stage.band.transport(0)
    stage.play(3, 60)
    stage.play(10, 38)
    tracks = stage.session.tracks
    assert [n.pitch for notes in tracks[3].played.values() for n in notes] == [60]
    assert tracks[3].channel == 3
    assert tracks[10].program == DRUMS


def test_a_track_that_was_given_a_channel_gets_its_notes(stage: Stage) -> None:
    stage.band.send("/sideman/track/set", 5, "channel", 2)
    stage.band.transport(0)
    stage.play(2, 60)
    assert stage.session.tracks[5].played and 2 not in stage.session.tracks


def test_a_program_change_says_what_a_track_is_from_then_on(stage: Stage) -> None:
    stage.band.transport(0)
    stage.hear(0xC1, 33)
    stage.play(2, 40)
    stage.hear(0xC1, 35)
    stage.play(2, 41)
    assert stage.session.tracks[2].program == 35
    notes = stage.session.notes(stage.session.tracks[2], 0)
    assert [(n.pitch, n.program) for n in notes] == [(40, 33), (41, 35)]
    stage.band.wait(1.5)
    kept = [e for e in stage.band.store.events if e["event"] == "track"]
    assert kept[-1]["program"] == 35


def test_a_pad_goes_on_with_the_track_that_was_played_last_on_its_port(stage: Stage) -> None:
    stage.band.transport(0)
    stage.play(2, 60, port=1)
    stage.play(1, 62, port=0)
    stage.hear(0x9F, 36, 100, port=1)
    stage.band.pump()
    plays = stage.sent(wire.Play)
    assert plays and {m.track for m in plays} == {2}  # type: ignore[attr-defined]
    first = min(n.onset for m in plays for n in m.notes)  # type: ignore[attr-defined]
    assert first >= stage.band.conductor.clock.meters.absolute(Position(1))


def test_a_pad_of_the_control_port_goes_on_with_the_last_track_of_all(stage: Stage) -> None:
    stage.band.transport(0)
    stage.play(4, 60)
    stage.hear(0x9F, 36, 100, port=2)
    stage.band.pump()
    assert {m.track for m in stage.sent(wire.Play)} == {4}  # type: ignore[attr-defined]


def test_an_action_may_name_its_track(stage: Stage) -> None:
    stage.band.transport(0)
    stage.play(7, 60)
    stage.play(1, 62)
    stage.hear(0x9F, 40, 100)
    stage.band.pump()
    assert {m.track for m in stage.sent(wire.Play)} == {7}  # type: ignore[attr-defined]


def test_what_triggers_is_not_music(stage: Stage) -> None:
    stage.band.transport(0)
    stage.play(16, 36)
    stage.play(16, 90)  # nothing is bound here, but this is the control channel
    stage.hear(0x90, 60, 90, port=2)  # and this the control port
    assert not any(track.played or track.held for track in stage.session.tracks.values())


def test_without_anything_played_a_pad_is_told_so(stage: Stage) -> None:
    stage.hear(0x9F, 36, 100)
    assert [type(reply) for reply in stage.shared] == [Fail]
    fail = stage.shared[0]
    assert isinstance(fail, Fail) and fail.code == "no-context"


def test_undo_and_panic_reach_the_player(stage: Stage) -> None:
    stage.band.transport(0)
    stage.play(1, 60)
    stage.hear(0x9F, 36, 100)
    stage.band.pump()
    assert stage.session.active(stage.session.track(1))
    stage.hear(0x9F, 41, 100)
    assert stage.session.track(1).history.now.kept
    stage.hear(0x9F, 37, 100)
    stage.hear(0x9F, 37, 100)
    assert not stage.session.active(stage.session.track(1))
    cut = stage.sent(wire.Cut)[-1]
    assert isinstance(cut, wire.Cut) and cut.sounding and cut.end is None
    stage.hear(0x9F, 38, 100)
    assert stage.sent(wire.Silence)


def test_a_controller_moves_a_parameter(stage: Stage) -> None:
    stage.hear(0xB0, 20, 127)
    assert stage.band.conductor.settings.values["temperature"] == pytest.approx(1.4)
    stage.hear(0xB0, 20, 0)
    assert stage.band.conductor.settings.values["temperature"] == pytest.approx(0.6)


def test_a_program_change_chooses_a_preset(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.presets.names", lambda places=None: ["opener", "plain"])
    stage.hear(0xCF, 3)
    assert stage.band.conductor.shelf.preset.name == "opener"


def test_learning_takes_the_next_message(stage: Stage) -> None:
    stage.band.transport(0)
    stage.play(1, 60)
    stage.door.learn("continue")
    stage.hear(0xB2, 50, 127)
    assert not stage.sent(wire.Play), "the message that is learned sets nothing off"
    assert ("learned", "3 cc 50 = continue") in stage.band.out.values
    assert Done("/sideman/learn", ("continue", "3 cc 50")) in [r for _, r in stage.band.out.shared]
    stage.hear(0xB2, 50, 0)
    stage.hear(0xB2, 50, 127)
    stage.band.pump()
    assert stage.sent(wire.Play)


def test_nothing_is_learned_where_no_input_is_open(stage: Stage) -> None:
    stage.door.receive(wire.PortState(0, "Sideman In", "it has vanished"), 0.0)
    with pytest.raises(SidemanError, match="no MIDI input is open"):
        stage.door.learn("continue")


def test_what_cannot_be_learned_is_refused(stage: Stage) -> None:
    with pytest.raises(Exception, match="nearest is 'continue'"):
        stage.door.learn("contine")


def test_clock_and_song_position_are_handed_on(stage: Stage) -> None:
    for _ in range(30):
        stage.hear(0xF8)
        stage.band.now += 60 / 120 / 24
    stage.hear(0xF2, 0, 1)  # 128 sixteenths: bar 8
    stage.hear(0xFB)
    stage.hear(0xF8)
    moves = [course.tick for course, moved in stage.led if moved]
    assert moves == [8 * 3840]
    assert stage.led[-1][0].playing
    assert stage.led[-1][0].bpm == pytest.approx(120, abs=0.5)


def test_only_one_port_leads_the_time(stage: Stage) -> None:
    stage.hear(0xF8, port=0)
    stage.hear(0xF8, port=1)
    stage.hear(0xF8, port=2)
    assert len(stage.led) == 1


@pytest.mark.parametrize(
    "data", [(0xF2,), (0xF2, 1), (0x90,), (0x90, 60), (0xC0,), (0xE0, 1), (0xF7,), (0xFF, 0xFF),
             (0x90, 200, 200), (0xC0, 3, 4), (0x00, 0x01), (0xF2, 0xFF, 0xFF)],
)  # fmt: skip
def test_malformed_messages_do_no_harm(stage: Stage, data: tuple[int, ...]) -> None:
    stage.hear(*data)
    assert not any(track.played for track in stage.session.tracks.values())


def test_lights_tell_how_it_goes(stage: Stage) -> None:
    stage.door.receive(wire.PortState(3, "LPX MIDI"), 0.0)
    stage.door.learn("continue")
    stage.hear(0x90, 11, 100, port=2)  # its first pad, in programmer mode
    stage.hear(0x80, 11, 0, port=2)
    stage.band.transport(0)
    stage.play(1, 60)
    before = len(stage.sent(wire.Send))
    stage.hear(0x90, 11, 100, port=2)
    waiting = [m.data for m in stage.sent(wire.Send)[before:]]  # type: ignore[attr-defined]
    assert waiting and waiting[-1][1] == 11
    stage.band.pump()
    shown = [m.data for m in stage.sent(wire.Send)[before:]]  # type: ignore[attr-defined]
    assert len(set(shown)) >= 3, "waiting, playing and idle again look different"


def test_notes_that_are_held_end_with_their_port(stage: Stage) -> None:
    stage.band.transport(0)
    stage.hear(0x90, 60, 90, port=1)
    stage.hear(0x90, 64, 90, port=0)
    stage.band.wait(0.5)
    stage.door.receive(wire.PortState(1, "Keys", "it has vanished"), stage.band.now)
    assert set(stage.session.track(1).held) == {64}


def test_ports_that_open_and_go_are_told(stage: Stage) -> None:
    stage.door.receive(wire.PortState(4, "Sideman Out"), 0.0)
    assert stage.band.out.values[-1] == ("ports", "in: Sideman In; out: Sideman Out")
    stage.door.receive(wire.PortState(0, "Sideman In", "it has vanished"), 0.0)
    assert stage.band.out.values[-1] == ("ports", "out: Sideman Out")
