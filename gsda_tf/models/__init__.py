"""The extractor E, the classifier C and the bank of discriminators D."""
