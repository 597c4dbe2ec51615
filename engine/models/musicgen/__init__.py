"""The model family ``musicgen``: audio tokens at 50 frames a second, continued frame by frame."""
