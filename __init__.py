"""seqmem: how much memory a sequence task needs, and how much a model uses."""

__version__ = "0.1.0"
