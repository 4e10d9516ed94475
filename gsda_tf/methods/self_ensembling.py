"""Self-ensembling: "Self-ensembling for Visual Domain Adaptation" (French et al., ICLR 2018).

    loss = mean_s CE(C(f), y) + w U
    U = mean_t [m_i mean_c (p_ic - q_ic)^2] + w_b B mean(m),   m_i = 1 if max_c q_ic > threshold
    B = sum_c BCE(mean_i p_ic, 1/r)

q is what a teacher, the moving average of E and C, says of a second random view of the same image, stopped. After the
step, teacher <- 0.99 teacher + 0.01 student, trained weights alone, as in the authors' code; its batch norm has
statistics of its own. The teacher is deployed. Source and target share one pass here, and so batch norm's statistics;
the authors kept them apart. With a frozen backbone both views are the same.
"""

import keras
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.methods.base import Batch, Method, build_classifier, setting


def class_balance(mean_probabilities: tf.Tensor) -> tf.Tensor:
    """B of the mean prediction float32 [r]: binary cross-entropy against 1/r, summed over classes."""
    share = 1.0 / mean_probabilities.shape[0]
    inside, outside = tf.math.log(mean_probabilities + 1e-6), tf.math.log(1.0 - mean_probabilities + 1e-6)
    return -tf.reduce_sum(share * inside + (1.0 - share) * outside)


class SelfEnsembling(Method):
    """A teacher that is the student's average, and agreement with it."""

    name, title = "self_ensembling", "Self-ensembling"
    images = ("source", "target", "target_again")

    class Options:
        consistency_weight: float = setting(3.0, "weight of the agreement with the teacher", minimum=0)
        teacher_threshold: float = setting(0.968, "probability below which the teacher is not heard", maximum=1)
        teacher_decay: float = setting(0.99, "how much of the teacher is kept in a step", minimum=0, maximum=1)
        balance_weight: float = setting(0.005, "weight of the balance of the predicted classes", minimum=0)

    def build(self) -> None:
        problem = self.problem
        self.teacher = problem.copy_extractor()
        self.teacher_classifier = build_classifier(problem.feature_units, problem.num_classes, name="teacher")
        for mine, variable in zip(self.teacher_classifier.variables, self.classifier.variables):
            tf_variable(mine).assign(tf_variable(variable))
        self.kept = {"teacher": self.teacher, "teacher_classifier": self.teacher_classifier}

    def step(self, s) -> None:
        features = self.teacher(s.images["target_again"], training=True)
        says = tf.stop_gradient(tf.nn.softmax(self.teacher_classifier(features)))
        s.descend(lambda b: self.loss(b) + self.agreement(b, says), s.forward(), "extractor", "classifier")
        s.update()
        decay = self.options.teacher_decay
        kept = [*self.teacher.trainable_variables, *self.teacher_classifier.trainable_variables]
        students = [*self.problem.extractor.trainable_variables, *self.classifier.trainable_variables]
        pairs = [(tf_variable(mine), tf_variable(his)) for mine, his in zip(kept, students) if mine is not his]
        s.assign([mine for mine, _ in pairs], [decay * mine + (1.0 - decay) * student for mine, student in pairs])

    def agreement(self, b: Batch, says: tf.Tensor) -> tf.Tensor:
        """w U; `says` is q, float32 [Nt, r]."""
        options, predicted = self.options, tf.nn.softmax(b.target_logits)
        sure = tf.cast(tf.reduce_max(says, axis=1) > options.teacher_threshold, predicted.dtype)
        consistency = b.mean(sure * tf.reduce_mean(tf.square(predicted - says), axis=1))
        share = b.log("teacher_share", b.mean(sure))
        mean = b.total(tf.reduce_mean(predicted, axis=0) / b.replicas)
        b.log("alignment/consistency", consistency)
        return options.consistency_weight * (consistency + options.balance_weight * class_balance(mean) * share)

    def deployed(self, extractor: keras.Model) -> tuple[keras.Model, keras.Model]:
        return self.teacher, self.teacher_classifier
