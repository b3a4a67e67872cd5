"""Hugging Face causal language models, scored per word of a task."""
