"""From a trained run to answers: SavedModels for TensorFlow Serving, and prediction."""
