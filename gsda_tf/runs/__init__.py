"""The folder of a run: its lock, checkpoints, log and results."""
