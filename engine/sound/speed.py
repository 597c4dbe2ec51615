"""How fast this machine makes sound, by its own measurements: what deadlines are reckoned with."""

from __future__ import annotations

from dataclasses import dataclass

SMOOTHING = 0.3
"""Weight of the latest measurement."""


@dataclass(slots=True)
class SoundSpeed:
    """Running means of what requests took."""

    pace: float = 1.0
    """Seconds of work in a second of sound."""
    first: float = 0.5
    """Seconds from a request to its first sound, where a model waits for it."""
    measured: bool = False

    def stepped(self, step_seconds: float, frame_seconds: float) -> None:
        """A freshly loaded model measured its step: a first guess until takes have been made."""
        if not self.measured and frame_seconds > 0:
            self.pace = step_seconds / frame_seconds

    def began(self, seconds: float) -> None:
        """First sound came so long after the request."""
        self.first += SMOOTHING * (seconds - self.first)

    def made(self, seconds: float, sound_seconds: float) -> None:
        """A take of so much sound took so much work."""
        pace = seconds / sound_seconds
        self.pace += (SMOOTHING if self.measured else 1.0) * (pace - self.pace)
        self.measured = True

    def head_start(self, sound_seconds: float) -> float:
        """Seconds that have to be made ahead so that what is played never overtakes it."""
        return max(0.0, sound_seconds * (self.pace - 1.0))
