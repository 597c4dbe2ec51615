"""OSC: bytes to commands and replies to bytes, over UDP and TCP.

A packet goes ``server`` → ``door`` → (``codec``, ``bundles``, ``clients``) → the conductor, and a
reply goes back the same way. What may be said stands in ``engine.messages``.
"""
