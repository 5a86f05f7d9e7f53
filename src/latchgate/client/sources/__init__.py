"""Where a credential comes from: one file a source, each says what it lacks."""
