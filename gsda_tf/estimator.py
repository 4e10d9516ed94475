"""`gsda_tf.AdaptedClassifier`: `adapt` by scikit-learn's conventions, over arrays of features or images."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from gsda_tf import api
from gsda_tf.errors import UserError


class AdaptedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier for the target: `AdaptedClassifier("mcc").fit(Xs, ys, Xt).predict(Xt)`.

    Args:
      method: as `adapt` takes it.
      steps: training steps; None: as `adapt` chooses.
      seed: everything random follows from it.
      workdir: folder that keeps the run; None: one that goes with the estimator.
      settings: further settings by name, as `adapt` takes them.

    Attributes:
      classes_: [r], labels in the order of `predict_proba`.
      run_: the run, see `gsda_tf.Run`.
    """

    def __init__(
        self,
        method: str = "gsda",
        steps: int | None = None,
        seed: int = 0,
        workdir: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ):
        self.method, self.steps, self.seed, self.workdir, self.settings = method, steps, seed, workdir, settings

    def fit(self, X: ArrayLike, y: ArrayLike, X_target: ArrayLike | None = None) -> AdaptedClassifier:
        """Trains.

        Args:
          X: of the source: features, float [n, e], or images, uint8 [n, h, w] or [n, h, w, 3].
          y: [n], labels of any kind.
          X_target: of the target, without labels, the same kind.

        Raises:
          ValueError: of scikit-learn, about the arrays.
          UserError: there is no target, or something that `adapt` refuses.
        """
        if (self.settings or {}).get("unknown", "none") != "none":
            raise UserError("AdaptedClassifier answers with the classes of y: unknown=reject is for gsda_tf.adapt.")
        if X_target is None:
            raise UserError("No target was given: expected fit(Xs, ys, Xt), with the target's images or features.")
        source, y = validate_data(self, X, y, **_kind(X))
        if any(label is None for label in y):
            raise ValueError("Input y contains None: expected a label for each row of the source.")
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        target = validate_data(self, X_target, reset=False, **_kind(X_target))
        folder = None if self.workdir else tempfile.TemporaryDirectory(prefix="gsda_tf")
        workdir = self.workdir or folder.name
        arrays, names = os.path.join(workdir, "arrays"), [str(label) for label in self.classes_]
        self.run_ = api.adapt(
            api.Domain.from_arrays(source, labels, names, arrays),
            api.Domain.from_arrays(target, folder=arrays),
            method=self.method,
            **{
                "workdir": os.path.join(workdir, "run"),
                "seed": self.seed,
                "overwrite": True,
                "export": False,
                "report": False,
                "steps": self.steps,
                **(self.settings or {}),
            },
        )
        self.run_.held = folder
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Returns probabilities, float [n, r], columns as in `classes_`."""
        check_is_fitted(self)
        values = validate_data(self, X, reset=False, **_kind(X))
        return self.run_.predict(values)["probabilities"]  # a run counts its classes in the order of `class_names`

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Returns labels [n], of the kind that `fit` was given."""
        chosen = self.predict_proba(X).argmax(axis=1)
        return self.classes_[chosen]


def _kind(values: ArrayLike) -> dict[str, Any]:
    return {"dtype": np.uint8 if np.asarray(values).dtype == np.uint8 else np.float32, "allow_nd": True}
