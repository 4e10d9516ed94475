"""SymNets: "Domain-Symmetric Networks for Adversarial Domain Adaptation" (Zhang et al., CVPR 2019).

One linear layer of 2r outputs is the source's classifier (first r) and the target's (last r), and the critic, too.
P = softmax over 2r, P^s and P^t its halves; z^s, z^t the logits' halves.
  C down  CE(z^s, y) + CE(z^t, y) + mean_s -log sum P^s + mean_t -log sum P^t
  E down  1/2 CE_2r(z, y) + 1/2 CE_2r(z, y + r) on the source
          + lambda [1/2 mean_t -log sum P^s + 1/2 mean_t -log sum P^t + mean_t H(P^s + P^t)]
lambda = 2/(1 + exp(-10 p)) - 1. Both gradients are taken at the same weights. The target's half is deployed. A term
that is added moves E alone. C learns ten times as fast as other new layers, as the authors' does beside E: it is the
critic.
"""

import keras
import tensorflow as tf

from gsda_tf.losses import ramp_up, source_cross_entropy
from gsda_tf.methods.base import Batch, Method, build_classifier, setting


class SymmetricClassifier(keras.Model):
    """A linear layer of 2r outputs; called, it gives the target's half, float32 [N, r]."""

    def __init__(self, feature_units: int, num_classes: int):
        super().__init__(dtype="float32", name="classifier")
        self.num_classes = num_classes
        self.both = build_classifier(feature_units, 2 * num_classes, name="both")
        self.built = True

    def call(self, features: tf.Tensor) -> tf.Tensor:
        return self.both(features)[:, self.num_classes :]


def domain_log_probabilities(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(-log sum P^s, -log sum P^t), each float32 [N], of logits [N, 2r]."""
    whole = tf.reduce_logsumexp(logits, axis=1)
    source, target = tf.split(logits, 2, axis=1)
    return whole - tf.reduce_logsumexp(source, axis=1), whole - tf.reduce_logsumexp(target, axis=1)


def class_entropy(logits: tf.Tensor) -> tf.Tensor:
    """H(P^s + P^t) over classes, float32 [N], of logits [N, 2r]; finite where a probability is 0."""
    log_p = tf.nn.log_softmax(logits)
    source, target = tf.split(log_p, 2, axis=1)
    log_q = tf.reduce_logsumexp(tf.stack([source, target]), axis=0)
    return -tf.reduce_sum(tf.exp(log_q) * log_q, axis=1)


class SymNets(Method):
    """Two symmetric classifiers that are the critic, too."""

    name, title = "symnets", "SymNets"
    classifier_rate = 10.0

    class Options:
        confusion_weight: float = setting(1.0, "weight of confusion and entropy on the target", minimum=0)
        confusion_ramp: float = setting(10.0, "rate g of the ramp 2/(1 + exp(-g p)) - 1 of that weight", minimum=0)

    def build(self) -> None:
        self.classifier = SymmetricClassifier(self.problem.feature_units, self.problem.num_classes)

    def step(self, s) -> None:
        b = s.forward()
        s.descend(self.extractor_loss, b, "extractor")  # applied after the pass through E, at the weights of now
        s.descend(self.loss, b, "classifier")

    def loss(self, b: Batch) -> tf.Tensor:
        logits, r, count = self.classifier.both(b.features), self.problem.num_classes, b.num_source
        source, target = domain_log_probabilities(logits)
        task = [b.mean(source_cross_entropy(half[:count], b.labels)) for half in (logits[:, :r], logits[:, r:])]
        b.log("loss/classification", task[1])
        domain = b.log("alignment/domain", b.mean(source[:count]) + b.mean(target[count:]))
        return tf.add_n(task) + domain

    def extractor_loss(self, b: Batch) -> tf.Tensor:
        """Confusion of the two classifiers on the source's categories, on the target's domain; and its entropy."""
        logits, r, count = self.classifier.both(b.features), self.problem.num_classes, b.num_source
        weight = ramp_up(self.options.confusion_weight, self.options.confusion_ramp, b.progress)
        category = [b.mean(source_cross_entropy(logits[:count], b.labels + shift)) for shift in (0, r)]
        source, target = domain_log_probabilities(logits[count:])
        entropy = b.log("loss/entropy", b.mean(class_entropy(logits[count:])))
        confusion = 0.5 * (b.mean(source) + b.mean(target))
        return 0.5 * tf.add_n(category) + weight * (confusion + entropy)
