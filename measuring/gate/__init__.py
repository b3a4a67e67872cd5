"""The validity gate: the checks that a model passes before its score enters the board."""
