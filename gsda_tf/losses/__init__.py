"""The paper's losses: classification (3)-(5), alignment (6)-(9), synchronization (10)-(12)."""
