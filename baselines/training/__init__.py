"""Training of baselines: the training loop, recipes, batches and checkpoints."""
