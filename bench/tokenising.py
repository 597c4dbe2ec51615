"""Tokenising: files per second of one core beside miditok's own loop, at equal results.

    python bench/tokenising.py songs/ --files 300

All rows read the same files and clean them in the same way. The loops take turns, file by file, so
that what else the machine does strikes all of them; seconds are those of the processor.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from bench.tools import number, table, verdict
from training.tokenize import Cleaning, TokenizeConfig, Vocabulary, make, make_tokenizer
from training.tokenize.clean import UnusableError, read
from training.tokenize.encode import Encoded, Encoder
from training.tokenize.sources import find, own_recipe

LEAST = 1.5
"""The target: as many times miditok's files per second."""


def _times(files: list[bytes]) -> tuple[dict[str, float], int, int]:
    """Seconds of each loop over ``files``, how many pieces came out, and how many differed."""
    tokenizer = make_tokenizer()
    encoder = Encoder(Vocabulary(), Cleaning())
    seconds: defaultdict[str, float] = defaultdict(float)
    pieces = different = 0
    for data in files:
        begun = time.process_time()
        result = encoder.encode(data)
        ended = time.process_time()
        seconds["Sideman"] += ended - begun
        try:
            ids = tokenizer.encode(read(data, Cleaning())).ids
        except (UnusableError, KeyError, IndexError):
            ids = []
        seconds["miditok"] += time.process_time() - ended
        if isinstance(result, Encoded):
            pieces += 1
            different += ids != result.tokens.tolist()
    return seconds, pieces, different


def _whole(folder: Path, files: int) -> float:
    """Files per second of the whole command on one core: also splits, and writes the data set."""
    with tempfile.TemporaryDirectory(prefix="sideman-bench-") as output:
        begun = time.process_time()
        make(TokenizeConfig(None, folder, Path(output) / "tokens", jobs=1))
        return files / (time.process_time() - begun)


def main() -> None:
    """Measure, and say whether the target holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("midis", type=Path, help="folder of MIDI files")
    parser.add_argument("--files", type=int, default=300, help="of so many files, evenly spread")
    arguments = parser.parse_args()
    sources = find(arguments.midis, own_recipe(arguments.midis), apart=False)
    chosen = sources[:: max(1, len(sources) // arguments.files)]
    files = [source.path.read_bytes() for source in chosen]
    _times(files[:5])
    seconds, pieces, different = _times(files)
    rows = [[name, number(len(files) / spent)] for name, spent in seconds.items()]
    rows.append(["Sideman, the whole command", number(_whole(arguments.midis, len(sources)))])
    print(f"{len(files)} files of {arguments.midis.name}, {pieces} pieces, {different} differ\n")
    print(table(["loop", "files/s per core"], rows), "\n")
    ratio = seconds["miditok"] / seconds["Sideman"]
    verdict(f"the same tokens from both: {different} pieces differ", different == 0)
    verdict(f"at least {LEAST} times miditok: {ratio:.2f}", ratio >= LEAST)


if __name__ == "__main__":
    main()
