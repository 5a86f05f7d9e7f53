"""The composition root: the only place that meets sockets, the clock and entropy.

Rule of this folder: what works on a database alone (`init`, `recover`, `backup`) loads nothing of
what serves: that takes most of such a command's time.
"""
