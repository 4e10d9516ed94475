"""GSDA: unsupervised domain adaptation with hierarchical gradient synchronization.

The way through the package is the way of the data: tasks -> data -> models -> losses -> training ->
evaluation -> serving and reporting. Nothing further down that list is imported by anything further up.
"""

__version__ = "0.1.0"
