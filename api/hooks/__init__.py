"""Callbacks of training frameworks; each imports its framework, and `TrainingCurve` imports it."""
