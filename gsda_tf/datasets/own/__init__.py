"""Images, lists, arrays and TFDS sets that a user brings."""
