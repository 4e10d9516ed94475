"""Decides which of several candidates to take, how accurate it probably is and which answers to trust, without
target labels.

`criteria` compares candidates, `agreement` counts a committee's votes, `estimate` says how accurate the answer is,
`missing` which classes the target seems to lack, and `choice` turns all of it into one decision with its reason.
"""
