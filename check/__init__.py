"""The regression check: what baselines learn today against what they are expected to learn.

Expectations are committed files, one for each baseline on each task, added to and never changed.
Nothing here imports torch.
"""
