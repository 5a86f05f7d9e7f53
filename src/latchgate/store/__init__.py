"""The store: records, journal, policy versions; and beside it, in its own file, usage."""
