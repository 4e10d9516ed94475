"""The TFDS builder of office_home; importing office_home_dataset_builder registers it."""
