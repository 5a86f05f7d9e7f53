"""Signing people in; so far only how their passwords are kept."""
