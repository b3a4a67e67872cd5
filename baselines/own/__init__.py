"""The user's own classes, trained like baselines: one file for each kind of class."""
