"""From what the user has or downloads to a prepared TFDS data set, and from that to a domain.

Nothing here imports TensorFlow Datasets until a data set is asked for, so that a task that needs none of it
starts at once.
"""
