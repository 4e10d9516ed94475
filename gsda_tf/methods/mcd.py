"""MCD: "Maximum Classifier Discrepancy for Unsupervised Domain Adaptation" (Saito et al., CVPR 2018).

Two heads on one extractor; disc = mean over batch and classes of |softmax z1 - softmax z2| on the target. A step is
  A  E, heads down  CE1 + CE2 + w_b B
  B  heads down     CE1 + CE2 + w_b B - w disc      (a new forward pass)
  C  E down         disc, `--mcd_rounds` times       (a new forward pass each)
with B = sum over heads of -mean_c log(mean_i p_ic + 1e-6), which keeps the classes balanced. disc is divided by the
number of classes: with many of them it wants a larger weight. The heads' mean is what is deployed.
"""

import keras
import tensorflow as tf

from gsda_tf.losses import source_cross_entropy
from gsda_tf.methods.base import Batch, Method, build_classifier, setting


class TwoHeads(keras.Model):
    """Two classifiers of one shape: f -> the mean of their logits, float32 [N, r]."""

    def __init__(self, feature_units: int, num_classes: int, hidden_units):
        super().__init__(dtype="float32", name="classifier")
        self.heads = [build_classifier(feature_units, num_classes, hidden_units, name=f"head_{i}") for i in range(2)]
        self.built = True

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return 0.5 * tf.add_n(self.each(features))

    def each(self, features: tf.Tensor) -> list[tf.Tensor]:
        """The logits of both, each [N, r]."""
        return [head(features) for head in self.heads]


def discrepancy(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """|softmax z1 - softmax z2| averaged over classes, float32 [N], of logits [N, r]."""
    return tf.reduce_mean(tf.abs(tf.nn.softmax(first) - tf.nn.softmax(second)), axis=1)


class MCD(Method):
    """Two heads that disagree where the target is far from the source."""

    name, title = "mcd", "MCD"
    published = {"office31": {"mcd_weight": 10.0}, "office_home": {"mcd_weight": 30.0}}

    class Options:
        mcd_weight: float = setting(1.0, "weight of the discrepancy", minimum=0)
        mcd_rounds: int = setting(4, "updates of the extractor in a step, each with a pass of its own", minimum=1)
        mcd_balance: float = setting(0.01, "weight of the balance of the predicted classes", minimum=0)
        mcd_head_units: tuple[int, ...] = setting((1024,), "hidden widths of both heads", maximum=2**17)

    def build(self) -> None:
        problem, units = self.problem, self.options.mcd_head_units
        self.classifier = TwoHeads(problem.feature_units, problem.num_classes, units)

    @property
    def passes(self) -> int:
        return 2 + self.options.mcd_rounds

    def step(self, s) -> None:
        s.descend(self.loss, s.forward(), "extractor", "classifier")
        s.descend(self.heads_loss, s.forward(), "classifier")
        for _ in range(self.options.mcd_rounds):
            s.descend(self.extractor_loss, s.forward(), "extractor")

    def loss(self, b: Batch) -> tf.Tensor:
        value, balance = tf.zeros([]), tf.zeros([])
        for logits in self.classifier.each(b.features):
            value += b.mean(source_cross_entropy(logits[: b.num_source], b.labels))
            share = tf.reduce_mean(tf.nn.softmax(logits[b.num_source :]), axis=0) / b.replicas
            balance += b.share(-tf.reduce_mean(tf.math.log(b.total(share) + 1e-6)))
        b.log("loss/classification", 0.5 * value)
        return value + self.options.mcd_balance * balance

    def heads_loss(self, b: Batch) -> tf.Tensor:
        """B: the heads move apart on the target, and stay right on the source."""
        return self.loss(b) - self.options.mcd_weight * self.discrepancy(b)

    def extractor_loss(self, b: Batch) -> tf.Tensor:
        """C: E brings them together again."""
        return self.options.mcd_weight * self.discrepancy(b)

    def discrepancy(self, b: Batch) -> tf.Tensor:
        """On the target; this share of the mean."""
        return b.log("alignment/discrepancy", b.mean(discrepancy(*self.classifier.each(b.target))))
