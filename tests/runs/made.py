"""What files of a run hold at least, for tests that make them up."""

SUMMARY = {
    "task": "digits/Fo_Ha", "method": "gsda", "seed": 0, "step": 7, "steps": 7, "accuracy/source": 0.9,
    "accuracy/target": None, "accuracy/target_mean_class": None, "doubts": [], "images_per_second": 1.0,
    "wall_seconds": 1.0, "workdir": "run", "export_dir": None, "weights_sha256": "ab", "settings": {},
    "score": "accuracy",
}  # fmt: skip
"""summary.json."""
DATA = {"source": {"0": [3, "ab"]}, "target": {"": [2, "cd"]}}
"""What settings.json says of the data."""
