"""The TFDS builder of visda2017; importing visda2017_dataset_builder registers it."""
