"""The layout of Megatron-LM's and RWKV's trainers: ``train.bin``, ``train.idx``; and ``heldout``.

``.bin`` holds raw little-endian tokens; ``.idx`` says where sequences and documents lie in it. Here
each piece is a document of one sequence, between BOS and EOS, since those trainers read windows
of the whole ``.bin`` and would not see where a piece ends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engine.errors import Code, SidemanError
from training.tokenize.config import Piece
from training.tokenize.data import Parts, TokenData, placed
from training.tokenize.encode import Tokens
from training.tokenize.layouts.common import (
    PIECES,
    SPLITS,
    TOKENIZER,
    as_tokens,
    read_json,
    write_description,
)

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
TYPES = ("u1", "i1", "<i2", "<i4", "<i8", "<f4", "<f8", "<u2")
"""The types of tokens, by their code in the file less one."""

_HEAD = struct.Struct("<9sQBQQ")
"""Magic, version, code of the type, sequences, entries of the document index."""


class BinIdx(Sequence[NDArray[Any]]):
    """The sequences of a ``.bin`` and its ``.idx``, opened for reading."""

    def __init__(self, prefix: Path) -> None:
        """``prefix`` is the path without ``.bin``. Raises ``bad-file`` for anything else."""
        try:
            index = prefix.with_name(f"{prefix.name}.idx").read_bytes()
            magic, version, code, count, documents = _HEAD.unpack_from(index)
            if magic != MAGIC or version != VERSION or not 1 <= code <= len(TYPES):
                raise ValueError("it is no index of version 1")
            dtype = np.dtype(TYPES[code - 1])
            if len(index) != _HEAD.size + 12 * count + 8 * documents:
                raise ValueError("it is not as long as it says")
            at = _HEAD.size
            self._sizes = np.frombuffer(index, "<i4", count, at)
            self._pointers = np.frombuffer(index, "<i8", count, at + 4 * count)
            self.documents = np.frombuffer(index, "<i8", documents, at + 12 * count)
            """Where each document begins among the sequences, and where the last one ends."""
            path = prefix.with_name(f"{prefix.name}.bin")
            self._data = np.memmap(path, mode="r") if path.stat().st_size else np.zeros(0, "u1")
            ends = self._pointers + self._sizes.astype(np.int64) * dtype.itemsize
            if count and (
                min(self._sizes.min(), self._pointers.min()) < 0 or ends.max() > len(self._data)
            ):
                raise ValueError("it points past the end of the .bin")
        except (OSError, ValueError, struct.error) as error:
            raise SidemanError(Code.BAD_FILE, f"{prefix}.idx: {error}") from error
        self.dtype = dtype

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        begin = int(self._pointers[index])
        end = begin + int(self._sizes[index]) * self.dtype.itemsize
        return np.frombuffer(self._data[begin:end].tobytes(), self.dtype)


def write_binidx(
    prefix: Path, sequences: Iterable[NDArray[Any]], dtype: DTypeLike = np.uint16
) -> None:
    """Write sequences, each a document of its own, to ``prefix`` with ``.bin`` and ``.idx``."""
    kind = np.dtype(dtype).newbyteorder("<")
    code = [np.dtype(name) for name in TYPES].index(kind) + 1
    sizes = []
    with prefix.with_name(f"{prefix.name}.bin").open("wb") as file:
        for sequence in sequences:
            file.write(np.ascontiguousarray(sequence, kind).tobytes())
            sizes.append(len(sequence))
    lengths = np.array(sizes, dtype=np.int64)
    pointers = (np.cumsum(lengths) - lengths) * kind.itemsize
    with prefix.with_name(f"{prefix.name}.idx").open("wb") as file:
        file.write(_HEAD.pack(MAGIC, VERSION, code, len(sizes), len(sizes) + 1))
        for table, form in ((lengths, "<i4"), (pointers, "<i8"), (range(len(sizes) + 1), "<i8")):
            file.write(np.asarray(table).astype(form).tobytes())


def fits(folder: Path) -> bool:
    """Whether ``folder`` has this layout."""
    return (folder / "train.idx").is_file()


def write(data: TokenData, folder: Path) -> None:
    """Write the data set; the order of pieces in ``pieces.json`` is that of the documents."""
    begin, end = data.names.index("BOS_None"), data.names.index("EOS_None")
    for split in SPLITS:
        write_binidx(
            folder / split,
            (
                np.concatenate(([begin], part, [end]))
                for piece, part in zip(data.pieces, data.parts, strict=True)
                if piece.split == split
            ),
        )
    write_description(data, folder)


def read(folder: Path) -> TokenData:
    """Open a data set; ``tokenizer.json`` has to be in it, since the format has no vocabulary."""
    settings = read_json(folder / TOKENIZER)
    names = settings["tokens"]
    borders = {names.index("BOS_None"), names.index("EOS_None")}
    manifest = read_json(folder / PIECES)
    pieces: list[Piece] = []
    parts: list[tuple[BinIdx, int]] = []
    for split in SPLITS:
        described = [Piece(**entry) for entry in manifest["pieces"] if entry["split"] == split]
        documents = BinIdx(folder / split)
        if len(documents) != len(described):
            raise SidemanError(
                Code.BAD_FILE,
                f"{folder}: {split}.idx has {len(documents)} pieces, {PIECES} {len(described)}",
            )
        pieces += described
        parts += [(documents, index) for index in range(len(documents))]

    def part(index: int) -> Tokens:
        documents, place = parts[index]
        ids = documents[place]
        inside = slice(int(ids[0] in borders), len(ids) - int(ids[-1] in borders))
        return as_tokens(ids[inside], len(names), str(folder))

    tokens = Parts(part, len(parts))
    pieces = placed(pieces, (len(part) for part in tokens))
    return TokenData(
        settings, manifest["recipe"], pieces, tokens, manifest["seed"], manifest["skipped"]
    )
