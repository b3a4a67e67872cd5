"""Data sets: where they are looked up, how they are checked, and how text becomes ids."""
