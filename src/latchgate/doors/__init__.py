"""HTTP in and out; nothing is decided here, and doors don't know each other."""
