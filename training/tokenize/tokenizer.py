"""miditok's tokenizers as models here use them, and their file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from miditok import MMM, REMI, TokenizerConfig

from engine.tokens import vocabulary as live
from engine.tokens.conditions import names
from training.tokenize.config import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

    from miditok import MusicTokenizer

METERS: dict[int, list[int]] = {2: [2, 3], 4: [1, 2, 3, 4, 5, 6, 7], 8: [3, 5, 6, 7, 9, 12]}
"""Time signatures of the vocabulary: lower number, and the upper numbers that go with it."""

BEAT_RESOLUTION = {(0, 1): 12, (1, 2): 6, (2, 4): 4, (4, 12): 2}
"""Steps to the beat for durations of so many beats; onsets have the finest, 12."""

SPECIAL_TOKENS = ["PAD", "BOS", "EOS"]
VELOCITIES = 16
TEMPOS = 24
TEMPO_RANGE = (40, 250)

UNNAMED_CHORDS = (3, 6)
"""A chord that has no name is told by its number of notes, where that is one of these."""


def make_tokenizer(vocabulary: Vocabulary | None = None) -> MusicTokenizer:
    """A tokenizer without merged tokens; by default the one of the models that ship.

    That is REMI [1] with one stream of notes for all programs, and no tempo. MMM [2] writes track
    after track instead, each bar by bar as REMI does.

    [1] Huang and Yang 2020, Pop Music Transformer. [2] Ens and Pasquier 2020, MMM.
    """
    asked = vocabulary or Vocabulary()
    is_remi = asked.algorithm == "REMI"
    config = TokenizerConfig(
        beat_res=BEAT_RESOLUTION,
        num_velocities=VELOCITIES,
        special_tokens=SPECIAL_TOKENS,
        use_programs=True,
        one_token_stream_for_programs=is_remi,
        use_time_signatures=True,
        time_signature_range=METERS,
        use_tempos=asked.tempos,
        use_rests=False,
        use_chords=asked.chords,
        chord_tokens_with_root_note=asked.chords,
        chord_unknown=UNNAMED_CHORDS if asked.chords else None,
        use_pitchdrum_tokens=True,
        use_sustain_pedals=False,
        use_pitch_bends=False,
        remove_duplicated_notes=True,
        **({"num_tempos": TEMPOS, "tempo_range": TEMPO_RANGE} if asked.tempos else {}),
        **({} if is_remi else {"base_tokenizer": "REMI"}),
    )
    return REMI(config) if is_remi else MMM(config)


def describe(tokenizer: MusicTokenizer) -> dict[str, Any]:
    """The contents of ``tokenizer.json``: miditok's own, and under ``tokens`` every token's name
    in the order of the ids, which miditok ignores and the live path and the trainer read. Where
    the live engine can play the model, ``conditions`` lists the tokens behind miditok's own.

    A merged token's name is those of its parts with ``+`` between them; the mark that opens a bar
    for miditok's model has none.
    """
    settings: dict[str, Any] = json.loads(json.dumps(tokenizer.to_dict()))
    settings["tokens"] = sorted(tokenizer.vocab, key=tokenizer.vocab.__getitem__)
    if unplayable(settings) is None:
        settings["conditions"] = names(map(int, settings["config"]["programs"]))
        settings["tokens"] += settings["conditions"]
    if tokenizer.is_trained:
        merged = sorted(tokenizer.vocab_model.items(), key=lambda item: item[1])
        parts = tokenizer._vocab_learned_bytes_to_tokens
        settings["tokens"] = ["+".join(parts[key]) for key, _ in merged]
    return settings


def save_tokenizer(tokenizer: MusicTokenizer, folder: Path) -> None:
    """Write ``tokenizer.json``."""
    text = json.dumps(describe(tokenizer), indent=4)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")


def unplayable(settings: dict[str, Any]) -> str | None:
    """Why the live engine can't play models of this vocabulary; None where it can."""
    try:
        live.Vocabulary.of(settings)
    except KeyError as error:
        return f"no {error} in its settings"
    except (ValueError, TypeError, AttributeError) as error:
        return str(error)
    return None
