"""Measurements of speed, each beside a reference on the same machine in the same run."""
