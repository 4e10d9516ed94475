"""One step (14)-(17), the loop around it, schedules, pseudo-labels and checkpoints."""
