"""Corpora: where they are looked for, how they are checked, and how they become ids."""
