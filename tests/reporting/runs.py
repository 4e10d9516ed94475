"""Run folders made up for tests: small, whole, and in every state a run can be in."""

import json
import os

import numpy as np

from gsda_tf import tasks
from gsda_tf.training import checkpoints

CLASSES = ("mug", "<b>pen</b> & ink", "ruler", "desk_lamp")
STEPS = 40
SIZE = 60


def write(folder, state: str = "labelled") -> str:
    """Writes a run of four classes; returns its folder.

    Args:
      folder: to write to.
      state: "labelled", "unlabelled", "partial" (two classes in the target), "going", "new" (nothing logged yet),
        or "source_only".
    """
    workdir = str(folder)
    os.makedirs(workdir, exist_ok=True)
    method = "source_only" if state == "source_only" else "gsda"
    settings = tasks.resolve({"task": "digits/Fo_Ha", "method": method, "steps": STEPS, "workdir": workdir})
    groups = [] if state == "source_only" else [CLASSES[:2], CLASSES[2:]]
    checkpoints.write_settings(
        workdir, settings.flat(), {"class_names": CLASSES, "groups": groups, "task": "digits/Fo_Ha", "data": {}}
    )
    if state == "new":
        return workdir
    lines = _lines(STEPS // 2 if state == "going" else STEPS, state)
    with open(os.path.join(workdir, "metrics.jsonl"), "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    np.savez(os.path.join(workdir, "evaluation.npz"), **_arrays(state))
    if state != "going":
        with open(os.path.join(workdir, "summary.json"), "w", encoding="utf-8") as file:
            json.dump(_summary(settings, lines), file)
    return workdir


def _lines(last: int, state: str) -> list[dict]:
    lines = []
    for step in range(10, last + 1, 10):
        line = {"step": step, "loss/classification": 3 / step, "loss/entropy": 2 / step, "learning_rate": 0.01}
        if state != "source_only":
            for weight, level in enumerate(("domain", "group", "class"), start=1):
                line[f"alignment/{level}"] = 0.6 + weight / step
                line[f"S/{level}"] = weight * 0.1
                line[f"accuracy/discriminator_{level}"] = 0.5 + weight / 20
            line.update({"difference/domain": 0.1, "difference/group": None, "loss/synchronization": 0.3})
        evaluation = {"step": step, "accuracy/source": 0.5 + step / 100, "score/entropy": 1 / step, "score/im": 0.1}
        evaluation.update({"score/snd": 2.0 + step, "score/a_distance": 1.5})
        if state != "unlabelled":
            evaluation.update({"accuracy/target": 0.9 - abs(step - 20) / 100, "accuracy/target_mean_class": 0.4})
        lines += [line, evaluation]
    return lines


def _arrays(state: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    classes = 2 if state == "partial" else len(CLASSES)
    source, target = rng.integers(0, len(CLASSES), SIZE), rng.integers(0, classes, SIZE)
    centres = 8 * np.eye(len(CLASSES), 16)
    indices = np.arange(0, SIZE, 2)
    arrays = {"step": 0, "source_indices": np.arange(SIZE), "source_labels": source, "target_indices": indices}
    arrays["source_features_before"] = rng.normal(size=(SIZE, 16)) + centres[source]
    arrays["target_features_before"] = rng.normal(size=(len(indices), 16)) + 3
    if state == "going":
        return arrays
    predictions = target.copy()
    predictions[:6] = (target[:6] + 1) % len(CLASSES)
    probabilities = np.full((SIZE, len(CLASSES)), 0.02, np.float32)
    probabilities[np.arange(SIZE), predictions] = 0.94
    unlabelled = state == "unlabelled"
    mistakes = np.arange(0 if unlabelled else 6)
    return {
        **arrays,
        "source_features": arrays["source_features_before"],
        "target_features": rng.normal(size=(len(indices), 16)) + centres[target[indices]],
        "target_labels": np.full(SIZE, -1) if unlabelled else target,
        "target_probabilities": probabilities,
        "mistake_indices": mistakes,
        "mistake_images": rng.integers(0, 256, (len(mistakes), 8, 8, 3), dtype=np.uint8),
    }


def _summary(settings, lines: list[dict]) -> dict:
    last = lines[-1]
    accuracy = {name: last.get(name) for name in ("accuracy/target", "accuracy/target_mean_class")}
    return {
        "task": settings.data.task, "method": settings.method.method, "seed": 0, "step": STEPS, "steps": STEPS,
        "accuracy/source": last["accuracy/source"], **accuracy, "score": "accuracy", "images_per_second": 100.0,
        "wall_seconds": 75.0, "weights_sha256": "ab" * 32, "versions": {"keras": "0"}, "settings": {},
    }  # fmt: skip
