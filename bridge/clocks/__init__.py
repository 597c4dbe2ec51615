"""Who says where the bar is: MIDI clock, Ableton Link, and which of all sources leads."""
