"""Accuracies, and scores that need no target label."""
