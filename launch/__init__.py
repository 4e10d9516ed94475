"""Commands: parse flags, build, call, report."""
