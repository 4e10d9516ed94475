"""Run folders made up for tests: small, whole, and in every state a run can be in."""

import json
import os

import numpy as np

from gsda_tf import recipes
from gsda_tf.runs.contents import write_settings
from tests.runs.made import DATA, SUMMARY

CLASSES = ("mug", "<b>pen</b> & ink", "ruler", "desk_lamp")
STEPS = 40
SIZE = 60


def write(folder, state: str = "labelled", classes=CLASSES, size: int = SIZE, export: bool = True) -> str:
    """Writes a run of four classes; returns its folder.

    Args:
      folder: to write to.
      state: "labelled", "unlabelled", "partial" (two classes in the target), "going", "new" (nothing logged yet),
        "source_only", or "labelled source_only" and "unlabelled source_only" for a run to lie beside another.
      classes: names.
      size: images of each domain.
      export: whether the run says that it was exported.
    """
    workdir = str(folder)
    os.makedirs(workdir, exist_ok=True)
    method = "source_only" if "source_only" in state else "gsda"
    settings = recipes.resolve({"task": "digits/Fo_Ha", "method": method, "steps": STEPS, "workdir": workdir})
    half = len(classes) // 2
    groups = [] if method == "source_only" else [classes[:half], classes[half:]]
    extra = {"task": "digits/Fo_Ha", "class_names": list(classes), "groups": groups, "data": DATA}
    write_settings(workdir, settings.flat(), extra)
    if state == "new":
        return workdir
    lines = _lines(STEPS // 2 if state == "going" else STEPS, state)
    with open(os.path.join(workdir, "metrics.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    np.savez(os.path.join(workdir, "evaluation.npz"), **_arrays(state, classes, size))
    if state != "going":
        summary = {**_summary(settings, lines), "export_dir": os.path.join(workdir, "export", "1") if export else None}
        with open(os.path.join(workdir, "summary.json"), "w", encoding="utf-8") as file:
            json.dump(summary, file)
    return workdir


def _lines(last: int, state: str) -> list[dict]:
    lines = [{"step": 0, "accuracy/source": 0.25, "score/a_distance": 1.9}]
    for step in range(10, last + 1, 10):
        line = {"step": step, "loss/classification": 3 / step, "loss/entropy": 2 / step, "learning_rate": 0.01}
        if "source_only" not in state:
            for weight, level in enumerate(("domain", "group", "class"), start=1):
                line[f"alignment/{level}"] = 0.6 + weight / step
                line[f"S/{level}"] = weight * 0.1
                line[f"accuracy/discriminator_{level}"] = 0.5 + weight / 20
            line.update({"difference/domain": 0.1, "difference/group": None, "loss/synchronization": 0.3})
        evaluation = {"step": step, "accuracy/source": 0.5 + step / 100, "score/a_distance": 1.5}
        if "unlabelled" not in state:
            worse = 0.2 if state == "labelled source_only" else 0
            accuracy = 0.9 - worse - abs(step - 20) / 100
            evaluation.update({"accuracy/target": accuracy, "accuracy/target_mean_class": 0.4})
        lines += [line, evaluation]
    return lines


def _arrays(state: str, class_names, size: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    r = len(class_names)
    source, target = rng.integers(0, r, size), rng.integers(0, 2 if state == "partial" else r, size)
    centres = 8 * np.eye(r, 16)
    indices = np.arange(0, size, 2)
    arrays = {"step": 0, "source_indices": np.arange(size), "source_labels": source, "target_indices": indices}
    arrays["source_features_before"] = rng.normal(size=(size, 16)) + centres[source]
    arrays["target_features_before"] = rng.normal(size=(len(indices), 16)) + 3
    if state == "going":
        return arrays
    wrong = 12 if state.endswith(" source_only") else 6
    predictions = target.copy()
    predictions[:wrong] = (target[:wrong] + 1) % r
    probabilities = np.full((size, r), 0.06 / (r - 1), np.float32)
    probabilities[np.arange(size), predictions] = 0.94
    unlabelled = "unlabelled" in state
    mistakes = np.arange(0 if unlabelled else 6)
    sheets = {"mistake": mistakes, **({"sure": np.arange(4), "unsure": np.arange(5, 17)} if unlabelled else {})}
    arrays.update(
        source_features=arrays["source_features_before"],
        target_features=rng.normal(size=(len(indices), 16)) + centres[target[indices]],
        target_labels=np.full(size, -1) if unlabelled else target,
        target_probabilities=probabilities,
        source_counts=np.bincount(source, minlength=r),
    )
    for kind, images in sheets.items():
        names = [f"/somewhere/in/a/very/long/folder/mug/photo_{i:06d}.jpg" for i in images]
        arrays[f"{kind}_indices"], arrays[f"{kind}_names"] = images, np.array(names, np.str_)
        arrays[f"{kind}_images"] = rng.integers(0, 256, (len(images), 8, 8, 3), dtype=np.uint8)
    return arrays


def _summary(settings, lines: list[dict]) -> dict:
    last = lines[-1]
    accuracy = {name: last.get(name) for name in ("accuracy/target", "accuracy/target_mean_class")}
    return {
        **SUMMARY, "task": settings.data.task, "method": settings.method.method, "step": STEPS, "steps": STEPS,
        "accuracy/source": last["accuracy/source"], **accuracy, "score": "accuracy", "images_per_second": 100.0,
        "wall_seconds": 75.0, "weights_sha256": "ab" * 32, "versions": {"keras": "0"}, "settings": {},
    }  # fmt: skip
