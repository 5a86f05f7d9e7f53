"""The pure heart: no I/O, no clock, no randomness; everything it judges is passed in."""
