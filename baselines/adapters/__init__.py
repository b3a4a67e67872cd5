"""Models that come from elsewhere, and the suite's own on their way out: one format a module."""
