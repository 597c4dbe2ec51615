"""Music and models of other programs, brought into the formats that Sideman works with.

Each file reads one format into a `song.Song` (or, for checkpoints, a model folder); `formats` has
the table that tells by a file's content who reads it; `run` walks files and folders.
"""
