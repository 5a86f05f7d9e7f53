"""The verify path: decide requests from memory and store, and stay exact on revocation."""
