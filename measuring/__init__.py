"""From a model and a task to a curve of losses against context length, and to a record."""
