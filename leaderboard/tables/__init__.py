"""Records as tables: in a terminal, Markdown, CSV, JSON and LaTeX."""
