"""MIDI in and out: ports, the process that plays, what a message means."""
