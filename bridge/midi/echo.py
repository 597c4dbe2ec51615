"""What we sent and hear again is not the musician.

A DAW that passes its input on, or a cable from out to in, brings our own notes back. Called under
the lock of the port that sends.
"""

from __future__ import annotations

from collections import deque

from bridge.midi_bytes import ends_note, note_off, split

MOST = 1024
"""Messages that are remembered at once; beyond them the oldest are forgotten."""


class Echo:
    """Remembers what was sent for ``seconds``; each message excuses one like it that comes in."""

    def __init__(self, seconds: float = 0.1) -> None:
        self._seconds = seconds
        self._sent: deque[tuple[float, bytes]] = deque(maxlen=MOST)

    def sent(self, data: bytes, now: float) -> None:
        """A channel message went out."""
        if self._seconds > 0:
            self._sent.append((now, _plain(data)))

    def is_echo(self, data: bytes, now: float) -> bool:
        """Whether ``data``, which has just come in, is one of ours come back."""
        while self._sent and now - self._sent[0][0] > self._seconds:
            self._sent.popleft()
        plain = _plain(data)
        for place, (_, other) in enumerate(self._sent):
            if other == plain:
                del self._sent[place]
                return True
        return False


def _plain(data: bytes) -> bytes:
    """A note on of velocity 0 is a note off, and a note off's velocity means nothing here."""
    if not ends_note(data):
        return data
    _, channel = split(data[0])
    return note_off(channel, data[1])
