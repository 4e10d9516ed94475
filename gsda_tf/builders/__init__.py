"""One TFDS dataset builder a folder, and what they share.

Nothing here imports TensorFlow Datasets until a data set is asked for, so that a task that needs none of it
starts at once. The facts of a set (names, counts) are in its `facts.py`, its builder in
`NAME_dataset_builder.py`.
"""
