"""The version; CHANGELOG.md says what changed."""

__version__ = "0.1.0"
