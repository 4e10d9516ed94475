"""A run at work: its networks and data, steps on devices, the loop, callbacks and scores."""
