"""What makes music: the session's memory, requests, models and takes.

Knows no protocol, no socket and no port. ``bridge`` and ``training`` import it, never the reverse.
"""

__version__ = "0.1.0"
