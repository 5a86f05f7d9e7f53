"""Python web frameworks over `latchgate.Verifier`: one file each, none of the server imported.

A framework is needed only by the file that is named after it.
"""
