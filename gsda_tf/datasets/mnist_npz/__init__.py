"""The TFDS builder of mnist_npz; importing mnist_npz_dataset_builder registers it."""
