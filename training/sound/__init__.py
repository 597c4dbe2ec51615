"""Sound as data to train models of sound on."""
