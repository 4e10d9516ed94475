"""From files to batches: domains, decoding, crops, and sampling by (seed, step)."""
