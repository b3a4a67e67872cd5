"""Models from outside: open them, submit them to the board, verify records, export baselines."""
