"""Models from elsewhere, made measurable."""
