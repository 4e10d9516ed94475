"""The TFDS builder of office31; importing office31_dataset_builder registers it."""
