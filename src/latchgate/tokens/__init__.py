"""Tokens: minted from a credential, signed, and kept nowhere."""
