"""Takes of sound: what is meant by a request for them, and what becomes of it."""
