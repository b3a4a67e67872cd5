"""How baselines are trained: the training loop, recipes, batches and checkpoints."""
