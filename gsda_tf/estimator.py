"""`gsda_tf.AdaptedClassifier`: `adapt` by scikit-learn's conventions, over arrays of features or images."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d

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
          UserError: there is no target, or something that `adapt` refuses.
        """
        if X_target is None:
            raise UserError("No target was given: expected fit(Xs, ys, Xt), with the target's images or features.")
        self.classes_, labels = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        source, target = _checked(X), _checked(X_target)
        self.n_features_in_ = source.shape[1]
        self._folder = None if self.workdir else tempfile.TemporaryDirectory(prefix="gsda_tf")
        workdir = self.workdir or self._folder.name
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
                **({} if self.steps is None else {"steps": self.steps}),
                **(self.settings or {}),
            },
        )
        order = {name: column for column, name in enumerate(self.run_.class_names)}
        self._columns = [order[name] for name in names]
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Returns probabilities, float [n, r], columns as in `classes_`."""
        check_is_fitted(self)
        return self.run_.predict(_checked(X))["probabilities"][:, self._columns]

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Returns labels [n], of the kind that `fit` was given."""
        chosen = self.predict_proba(X).argmax(axis=1)
        return self.classes_[chosen]


def _checked(values: ArrayLike) -> np.ndarray:
    images = np.asarray(values).dtype == np.uint8
    return check_array(values, dtype=np.uint8 if images else np.float32, allow_nd=True)
