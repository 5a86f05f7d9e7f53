"""`python -m latchgate`."""

from latchgate.cli import main

main()
