"""Every change, one file a noun: the actor comes first, and (result, journal number) comes back."""
