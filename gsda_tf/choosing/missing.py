"""Which of the source's classes the target seems to lack, and in which shares it seems to have the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

THIN = 0.25
"""Of its share in the source: a class that is predicted less often seems to be missing, or lost."""
_SURE = 0.9999


def empty_classes(predictions: np.ndarray, num_classes: int, most: float = 0.0) -> np.ndarray:
    """Classes that no candidate predicts, or hardly.

    Args:
      predictions: int [m, n], of m candidates.
      num_classes: r.
      most: the share of the images that a candidate may give a class which still counts as empty.

    Returns:
      int64 [k], indices of classes, in order.
    """
    shares = np.stack([class_shares(row, num_classes) for row in np.atleast_2d(predictions)])
    return np.flatnonzero((shares <= most).all(axis=0))


def class_shares(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """float [r], adding up to 1; `labels` is int [n], n > 0."""
    return np.bincount(labels, minlength=num_classes) / len(labels)


def em_shares(probabilities: np.ndarray, prior: np.ndarray, steps: int = 200) -> np.ndarray:
    """Class shares of the target by expectation maximization (Saerens et al., Neural Computation 2002).

    q <- mean_i of p_i q / prior, rows normalised.

    Args:
      probabilities: [n, r], of a classifier that was trained on classes in shares `prior`.
      prior: float [r]; classes of share 0 stay at 0.
      steps: of the iteration, which ends when nothing moves.

    Returns:
      float [r], adding up to 1.
    """
    probabilities, prior = np.asarray(probabilities, np.float64), np.asarray(prior, np.float64)
    shares = prior / prior.sum()
    ratio = np.divide(probabilities, prior, out=np.zeros_like(probabilities), where=prior > 0)
    for _ in range(steps):
        posterior = ratio * shares
        posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), 1e-300)
        new = posterior.mean(axis=0)
        new /= max(new.sum(), 1e-300)
        if np.abs(new - shares).max() < 1e-9:
            break
        shares = new
    return new


def bbse_shares(held_predictions: np.ndarray, held_labels: np.ndarray, predictions: np.ndarray, num_classes: int):
    """Class shares of the target by black box shift estimation (Lipton et al., ICML 2018).

    Solves C q' = mu with C the joint shares of (predicted, true) on held-out source and mu the predicted shares on the
    target; q = q' times the source's shares, negative ones put to 0.

    Args:
      held_predictions: int [m], of held-out source images.
      held_labels: int [m].
      predictions: int [n], of the target.
      num_classes: r.

    Returns:
      float [r], adding up to 1.
    """
    joint = np.zeros((num_classes, num_classes))
    np.add.at(joint, (held_predictions, held_labels), 1 / len(held_labels))
    ratio = np.linalg.lstsq(joint, class_shares(predictions, num_classes), rcond=1e-6)[0]
    shares = np.maximum(ratio, 0) * class_shares(held_labels, num_classes)
    return shares / shares.sum() if shares.sum() > 0 else class_shares(predictions, num_classes)


def warnings(
    predictions: np.ndarray,
    probabilities: np.ndarray,
    runs: np.ndarray,
    source_shares: np.ndarray,
    class_names: Sequence[str],
) -> list[str]:
    """What should be known before an answer is used, a sentence each; no target label is read.

    Args:
      predictions: int [n], the answers.
      probabilities: float [n, r], of the model that gave them.
      runs: int [m, n], the answers of all candidates.
      source_shares: float [r].
      class_names: r names.
    """
    said, shares = [], class_shares(predictions, len(class_names))
    empty = empty_classes(runs, len(class_names))
    if len(empty):
        said.append(
            "Classes that seem to be missing in the target: no candidate finds an image of "
            f"{_named(empty, class_names)}."
        )
    thin = np.flatnonzero((shares < THIN * source_shares) & ~np.isin(np.arange(len(shares)), empty))
    if len(thin):
        said.append(
            f"Classes that shrank to less than a quarter of their share in the source: {_named(thin, class_names)}."
        )
    if np.min(np.max(probabilities, axis=1)) > _SURE:
        said.append("All scores are 1: they say nothing of which answers are right. Look at the agreement instead.")
    apart = np.mean((runs != runs[0]).any(axis=0))
    if apart > 0.5:
        said.append(
            f"The candidates disagree on {100 * apart:.0f} % of the images: look at some of them before you use the "
            "answers, or try another backbone."
        )
    return said


def _named(classes: np.ndarray, names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(str(names[c]) for c in classes[:most])
    return shown if len(classes) <= most else f"{shown} and {len(classes) - most} more"
