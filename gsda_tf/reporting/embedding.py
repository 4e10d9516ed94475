"""Draws features as points in the plane."""

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from gsda_tf.data.domain import evenly
from gsda_tf.reporting import figures
from gsda_tf.reporting.runs import LoggedRun

MOST_POINTS = 400
"""Images of each domain that are embedded: more cost minutes and hide each other."""


def tsne(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """t-SNE of two sets together (van der Maaten and Hinton, JMLR 2008), after PCA to 50 dimensions.

    Args:
      source: float [ns, d].
      target: float [nt, d].

    Returns:
      float [ns, 2] and [nt, 2]. The same input gives the same picture; the axes mean nothing. Features that are all
      the same, which scikit-learn dies of, are one point.
    """
    features = np.concatenate([source, target]).astype(np.float32)
    if not np.ptp(features, axis=0).any():
        return np.zeros((len(source), 2)), np.zeros((len(target), 2))
    perplexity = min(30.0, max(1.0, (len(features) - 1) / 3))
    # One thread: for this few points, threads that wait for each other cost ten times what they save.
    with threadpool_limits(1):
        features = PCA(min(50, *features.shape), random_state=0).fit_transform(features)
        init = "pca" if features.shape[1] > 1 else "random"
        points = TSNE(perplexity=perplexity, init=init, max_iter=600, random_state=0).fit_transform(features)
    return points[: len(source)], points[len(source) :]


def draw(run: LoggedRun) -> list[Figure]:
    """Draws the features of a run before and after training, as far as they were kept."""
    kept = {"before": run.features(before=True), "after": run.features()}
    panels = []
    for when, features in kept.items():
        if features is not None:
            source, target = (evenly(len(values), MOST_POINTS) for values in features)
            distance = f" (A-distance {run.distances[when]:.2f})" if when in run.distances else ""
            panels.append((f"{when.capitalize()} training{distance}", *tsne(features[0][source], features[1][target])))
    if not panels:
        return []
    labels = run.feature_labels
    return figures.embedding(panels, labels[0][source], labels[1][target], run.class_names)
