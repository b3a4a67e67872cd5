"""An untrusted model in a process of its own: limits, sandbox and messages."""
