"""Values of a run's settings: layers folded in order, each with its reason. A benchmark's is one file here.

To add a recipe: a file called as the benchmark, with SETTINGS and, where it needs them, TASKS, FROZEN and TRAINED.
"""

from gsda_tf.recipes.resolve import reasoned, remarks, resolve, restored, written

__all__ = ["reasoned", "remarks", "resolve", "restored", "written"]
