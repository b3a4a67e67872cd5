"""The Python interface: what `import seqmem` offers, on the same paths as the command line."""
