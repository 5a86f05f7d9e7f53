"""Signing keys, and the master key that keeps their private halves; where they lie is not here."""
