"""Decides which of several candidates to take, how accurate it probably is and which answers to trust, without
target labels.

`criteria` compares candidates, also with what `clustering` finds, `agreement` says how far they agree and how accurate
the answer so is, `missing` which classes the target seems to lack, `choice` which candidate is taken and why, and
`decision` all of it at once.
"""
