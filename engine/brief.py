"""From what was asked to what is made: a request once every default is settled, and its wish.

Pure functions of the request, the session and the presets; nothing here waits or changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from engine import chords, keys
from engine.errors import Code, SidemanError
from engine.instruments import find_program
from engine.messages.commands import Ask, Verb
from engine.messages.keys import MOST_BARS
from engine.music import DRUM_CHANNEL, DRUMS, Meter, MeterMap, Note
from engine.presets import Preset
from engine.session import Session, Track
from engine.takes import Take
from engine.timing import Target
from engine.worker import wire

INFILL_CANDIDATES = 4
"""Fillings that are tried for a gap; the one that leads best into what follows is taken."""

MOST_SEQUENCES = 16
"""Sequences made side by side, at most."""



@dataclass(frozen=True, slots=True)
class Brief:
    """A request with nothing left open."""

    verb: Verb
    track: int
    bars: int
    preset: Preset
    programs: tuple[int, ...]
    channels: tuple[tuple[int, int], ...]
    """(program, channel 1 to 16) of each program."""
    seed: int
    variations: int
    late: str
    deliver: frozenset[str]
    temperature: float
    top_p: float
    top_k: int
    chords: str | None
    chart: str | None
    """The preset's own chords, which go round for as long as the take is."""
    key: str | None
    density: float | None
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a take goes, and what the model hears before it.

    ``source`` is the bar that the context ends at: the target's own, or, for a variation of what
    was played, the bar where the original began.
    """

    target: Target
    bars: int
    source: int
    reference: tuple[Note, ...] = ()


def settle(
    ask: Ask,
    track: Track,
    session: Session,
    preset: Preset,
    *,
    explicit: bool,
    parameters: Mapping[str, Any],
    seed: int,
    way: str,
) -> Brief:
    """Fill what the request leaves open: from the parameters, the track, then the preset.

    ``explicit`` says that the preset was asked for by name, so that its instruments win over the
    track's own. ``way`` is how the request came in, which is how its notes go out.
    """
    given = ask.keys
    programs = programs_for(ask, track, session, preset, explicit=explicit)

    def setting(name: str, fallback: Any) -> Any:
        value = getattr(given, name)
        if value is None:
            value = parameters.get(name)
        return fallback if value is None else value

    low, high = given.low, given.high
    return Brief(
        verb=ask.verb,
        track=track.number,
        bars=bars_for(ask, track, session, preset, parameters),
        preset=preset,
        programs=programs,
        channels=channels_for(programs, track, preset),
        seed=seed if given.seed is None else given.seed,
        variations=setting("variations", 1),
        late=setting("late", "move"),
        deliver=given.deliver or frozenset({way}),
        temperature=setting("temperature", preset.sampling.temperature),
        top_p=setting("top_p", preset.sampling.top_p),
        top_k=parameters.get("top_k") or preset.sampling.top_k,
        chords=given.chords,
        chart=preset.midi.chords,
        key=given.key if given.key is not None else preset.midi.key,
        density=given.density or parameters.get("density") or preset.midi.density or None,
        low=preset.midi.low if low is None else low,
        high=preset.midi.high if high is None else high,
    )


def bars_for(
    ask: Ask, track: Track, session: Session, preset: Preset, parameters: Mapping[str, Any]
) -> int:
    """Bars of the take: the request's, an infill's gap, the parameter's, the preset's.

    A preset that answers a call plays as many bars as the phrase had that was just played.
    """
    if ask.keys.from_ is not None and ask.keys.to is not None:
        return ask.keys.to - ask.keys.from_
    asked: int | None = ask.keys.bars or parameters.get("bars")
    if asked:
        return asked
    if preset.midi.call and (length := phrase_bars(track, session)):
        return min(length, preset.midi.call)
    return preset.midi.bars


def chart_bars(chart: str, meters: MeterMap, first: int) -> int:
    """Bars that a chart of chords fills from bar ``first`` on, the last one perhaps in part.

    Raises ``bad-arguments`` for what is no chart, and for one longer than a take may be.
    """
    coming = [meters.at(first + bar) for bar in range(MOST_BARS)]
    left = chords.parse(chart, coming)[-1].end
    for bars, meter in enumerate(coming, 1):
        left -= meter.ticks
        if left <= 0:
            return bars
    raise SidemanError(
        Code.BAD_ARGUMENTS, f"chords: the chart is longer than the {MOST_BARS} bars of a take"
    )


def phrase_bars(track: Track, session: Session) -> int:
    """Bars of the track's last phrase: those up to its last note, without an empty one between."""
    bars = session.bars(track)
    length = 0
    while bars and max(bars) - length in bars:
        length += 1
    return length


def programs_for(
    ask: Ask, track: Track, session: Session, preset: Preset, *, explicit: bool
) -> tuple[int, ...]:
    """The instruments that a take is for, the most decided word first.

    The request's ``program``; the preset, where one was named; what the track is set to; what it
    has played; the preset in use.
    """
    wanted = ask.keys.program
    if wanted is not None:
        return (find_program(wanted) if isinstance(wanted, str) else wanted,)
    named = preset.midi.program_numbers
    if explicit and named:
        return named
    if track.program is not None:
        return (track.program,)
    if heard := session.programs(track):
        return heard
    return named or _by_role(track) or (0,)


def _by_role(track: Track) -> tuple[int, ...]:
    """The instrument that a track's role names, where it names one."""
    with suppress(SidemanError):
        return (find_program(track.role),) if track.role else ()
    return ()


def channels_for(
    programs: Sequence[int], track: Track, preset: Preset
) -> tuple[tuple[int, int], ...]:
    """The channel of each program: the preset's, drums on 10, else the track's and those after."""
    fixed = preset.midi.channel_of
    found: list[tuple[int, int]] = []
    free = [c for c in range(1, 17) if c != DRUM_CHANNEL]
    base = track.channel or (track.output_channel if len(programs) == 1 else None)
    for program in programs:
        if len(programs) == 1 and track.channel is not None:
            channel = track.channel
        elif program in fixed:
            channel = fixed[program]
        elif program == DRUMS:
            channel = DRUM_CHANNEL
        else:
            # More instruments than channels have to share the last one.
            channel = base or (free[0] if free else 16)
            base = None
        if channel in free:
            free.remove(channel)
        found.append((program, channel))
    return tuple(found)


def has_context(session: Session, track: Track) -> bool:
    """Whether anybody has played, or holds, anything that could be gone on from."""
    return any(t.held or session.has_music(t) for t in (track, *session.tracks.values()))


def variation_source(
    session: Session, track: Track, bars: int, target: Target, *, anywhere: bool, whole: bool
) -> Place:
    """What a variation varies: the take that is still to come, or the track's last bars.

    A take that the song has not reached is made again in its place, where the request leaves the
    place open (``anywhere``), and at its length, where it leaves that open too (``whole``).
    Otherwise the last ``bars`` bars of the track's past are written anew, for the target.
    """
    active = session.active(track)
    coming = next((t for t in reversed(active) if t.bar >= target.bar), None)
    if coming is not None and anywhere:
        reference = _from(coming.notes, coming.bar)
        length = coming.bars if whole else bars
        return Place(Target(coming.bar), length, coming.bar, reference)
    past = [bar for bar in session.bars(track) if bar < target.bar]
    if not past:
        raise SidemanError(
            Code.NO_CONTEXT, f"track {track.name} has no bars to vary: play something on it first"
        )
    end = max(past) + 1
    source = end - bars
    notes = [n for bar in range(source, end) for n in session.notes(track, bar)]
    return Place(target, bars, source, _from(notes, source))


def _from(notes: Sequence[Note], first: int) -> tuple[Note, ...]:
    """The same notes with bars counted from ``first``."""
    return tuple(
        Note(n.bar - first, n.tick, n.program, n.pitch, n.duration, n.velocity) for n in notes
    )


def wish_for(brief: Brief, place: Place, session: Session) -> wire.Wish:
    """All that the worker needs to know. Raises ``bad-arguments`` for what can't be made."""
    candidates = 1
    if brief.verb == "infill":
        candidates = max(1, min(INFILL_CANDIDATES, MOST_SEQUENCES // brief.variations))
    sampling = brief.preset.sampling
    curve = sampling.curve
    key = None if brief.key is None else sorted(keys.parse(brief.key).pitch_classes)
    end = place.target.bar + place.bars
    return wire.Wish(
        context_end=place.source,
        rooms=rooms(brief, place, session),
        programs=list(brief.programs),
        seed=brief.seed,
        variations=brief.variations,
        start_tick=place.target.tick,
        key=key,
        low=brief.low,
        high=brief.high,
        density=brief.density,
        polyphony=brief.preset.midi.polyphony,
        chord_share=brief.preset.midi.chord_share,
        longest_rest=brief.preset.midi.longest_rest,
        reference=[wire.row(note) for note in place.reference],
        after=_after(session, end) if brief.verb == "infill" else [],
        candidates=candidates,
        temperature=brief.temperature,
        top_p=brief.top_p,
        top_k=brief.top_k,
        repetition_penalty=sampling.repetition_penalty,
        penalty_decay=sampling.decay,
        penalty_window=max(1, sampling.window),
        recall=sampling.recall,
        curve=(curve.shape, curve.temperature, curve.top_p, curve.period, curve.noise),
    )


def rooms(brief: Brief, place: Place, session: Session) -> list[wire.Room]:
    """The bars of a take: their meters, what the others play there, and the chords."""
    target = place.target
    meters = [session.meters.at(target.bar + i) for i in range(place.bars)]
    spans = _chord_spans(brief, meters)
    given = _given(brief, place, session)
    found: list[wire.Room] = []
    start = 0
    for meter, notes in zip(meters, given, strict=True):
        end = start + meter.ticks
        inside = [
            _span(s, start, end)
            for s in spans
            if s.start < end and s.end > start
        ]
        found.append(wire.Room(meter.num, meter.den, [wire.row(n) for n in notes], inside))
        start = end
    return found


def _given(brief: Brief, place: Place, session: Session) -> list[list[Note]]:
    """What the other tracks are known to play in each bar of a take.

    Who accompanies hears the others go on as they did, where nothing is known of what is to come.
    In a first bar that is entered in the middle, what was played there so far is known of all.
    """
    target = place.target
    bars = range(target.bar, target.bar + place.bars)
    given = [session.mix(bar, without=[brief.track]) for bar in bars]
    if brief.verb == "variation" and place.source != target.bar:
        given = [
            session.mix(place.source + i, without=[brief.track]) for i in range(place.bars)
        ]
    if brief.verb == "accompany" and not any(given):
        end = session.end_of_music(target.bar)
        given = [
            session.mix(end - place.bars + i, without=[brief.track]) for i in range(place.bars)
        ]
    if target.tick:
        entry = session.meters.start(target.bar) + target.tick
        held = [n for n in session.sounding(entry) if n.bar == target.bar]
        played = [n for n in session.mix(target.bar) if n.tick < target.tick]
        given[0] = played + held + [n for n in given[0] if n.tick >= target.tick]
    return given


def _chord_spans(brief: Brief, meters: Sequence[Meter]) -> Sequence[chords.ChordSpan]:
    """The chords of a take. What was asked for has to fill it; a preset's chart goes round."""
    total = sum(meter.ticks for meter in meters)
    if brief.chords is not None:
        return chords.fill(chords.parse(brief.chords, meters), total)
    if brief.chart is None:
        return ()
    chart = chords.parse(brief.chart, meters)
    length = chart[-1].end
    return [
        replace(span, start=span.start + turn, end=span.end + turn)
        for turn in range(0, total, length)
        for span in chart
    ]


def _span(span: chords.ChordSpan, start: int, end: int) -> wire.Span:
    """What of a span lies from ``start`` to ``end``, counted from there."""
    first, last = max(span.start, start) - start, min(span.end, end) - start
    chord = span.chord
    if chord is None:
        return wire.Span(first, last, None)
    return wire.Span(first, last, sorted(chord.pitch_classes), chord.root, chord.quality)


def _after(session: Session, bar: int) -> list[wire.Room]:
    """The bar that follows a gap, where anything is there."""
    notes = session.mix(bar)
    meter = session.meters.at(bar)
    return [wire.Room(meter.num, meter.den, [wire.row(n) for n in notes], [])] if notes else []


def new_take(number: int, brief: Brief, place: Place, variation: int) -> Take:
    """An empty take for one variation of a request."""
    late_ms = brief.preset.midi.late_ms
    return Take(
        number=number,
        track=brief.track,
        bar=place.target.bar,
        bars=place.bars,
        verb=brief.verb,
        preset=brief.preset.name,
        model=brief.preset.model,
        seed=brief.seed,
        variation=variation,
        channels=dict(brief.channels),
        midi="midi" in brief.deliver,
        late_seconds=None if late_ms is None else late_ms / 1000.0,
    )
