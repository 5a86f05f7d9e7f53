"""Placeholder."""
from soak.backup import STEP
