"""Commands of `seqmem` that the door (submit.py) adds to its own."""
