"""The TFDS builder of usps; importing usps_dataset_builder registers it."""
