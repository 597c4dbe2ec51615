"""The way in and out: OSC, MIDI, files, the command line. It knows the engine; nothing knows it."""
