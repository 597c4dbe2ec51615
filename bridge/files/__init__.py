"""Music on disk: MIDI files, audio files, SoundFonts and what renders one into the other."""
