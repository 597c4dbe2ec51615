"""What reading a damaged zip raises, in one place: the library has no common error for it."""

from __future__ import annotations

import lzma
import zipfile
import zlib

DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a compression that nobody uses
    RuntimeError,  # an encrypted member
    ValueError,
    MemoryError,
)
