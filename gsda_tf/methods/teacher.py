"""A teacher, as a term: cross-entropy of the target's logits to labels that somebody has found before.

    loss = w sum_i s_i CE(z_i, y_i) / Nt

y: SPL's answer on the backbone's features as they are before the first step, or a file's; s_i = 0 where it has none.
The labels are no target labels that were given with the data: those no method sees.
"""

import os

import numpy as np
import tensorflow as tf

from gsda_tf.data.npz import MOST_BYTES
from gsda_tf.errors import UserError, explained
from gsda_tf.files import open_regular
from gsda_tf.methods import spl
from gsda_tf.methods.base import Batch, Problem, Term, setting


def read_labels(path: str, num_target: int, num_classes: int) -> np.ndarray:
    """Reads int32 [num_target], -1 for no label, from a .npy file.

    Raises:
      UserError: it is not that.
    """
    todo = f"Expected spl, or a .npy file of {num_target} integers, 0 to {num_classes - 1}, or -1 for no label."
    with explained(f"--teacher={path} cannot be read", todo), open_regular(path, MOST_BYTES):  # no pipe is waited for
        labels = np.lib.format.open_memmap(path, mode="r")  # of a file that claims to be huge, nothing is read
    if labels.dtype.kind not in "iu" or labels.shape != (num_target,):
        raise UserError(f"--teacher={path} holds {labels.dtype} {list(labels.shape)}. {todo}")
    if labels.min() < -1 or labels.max() >= num_classes:
        raise UserError(f"--teacher={path} has labels {labels.min()} to {labels.max()}. {todo}")
    return labels.astype(np.int32)


class TeacherTerm(Term):
    """Cross-entropy to a teacher's labels, to be added."""

    name = "teacher"

    class Options:
        teacher: str = setting("spl", "whose labels: spl, or a .npy file of integers, one a target image, -1 for none")
        teacher_weight: float = setting(1.0, "weight of the cross-entropy to the teacher's labels", minimum=0)

    def build(self, problem: Problem) -> None:
        labels = tf.fill([problem.num_target], -1)
        if self.options.teacher != "spl":
            labels = read_labels(os.path.expanduser(self.options.teacher), problem.num_target, problem.num_classes)
        self._taught = problem.taught
        self.kept = {"labels": tf.Variable(labels, trainable=False, dtype=tf.int32, name="teacher_labels")}

    def fit(self, features, labels: np.ndarray) -> None:
        if self.options.teacher != "spl":
            return
        source, target = features()
        found = spl.adapt(source, labels, target, taught=self._taught)
        print(f"Teacher: {found.remark}", flush=True)
        self.kept["labels"].assign(found.classes[found.answer.labels])

    def loss(self, b: Batch) -> tf.Tensor:
        labels = tf.gather(tf.convert_to_tensor(self.kept["labels"]), b.target_indices)
        logits = b.target_logits
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
        return self.options.teacher_weight * b.mean(tf.where(labels >= 0, losses, tf.zeros_like(losses)))
