"""TPN: "Transferrable Prototypical Networks for Unsupervised Domain Adaptation" (Pan et al., CVPR 2019).

C is a softmax of negative squared distances to class prototypes, mean features of the source. A target sample belongs
to its nearest source prototype; mu^s, mu^t, mu^st are prototypes of source, target and both in the batch.
    loss = mean_s CE + a (1/r') sum_c (||mu^s-mu^t||^2 + ||mu^s-mu^st||^2 + ||mu^t-mu^st||^2) / T
         + b mean_i 1/3 sum over pairs of 1/2 [KL(P^a||P^b) + KL(P^b||P^a)]
over the r' classes that both domains have in the batch: a class that one lacks has no prototype, and no NaN. For its
own cross-entropy a sample is no part of its class's prototype: the others of the batch are, or, where there are none,
the kept one. (With about one image a class in a batch it would be its own prototype, and learn nothing.) The squared
distances are divided by T = sqrt(d), which the paper leaves open. What is deployed are moving averages of mu^s.
No code of the authors was found.
"""

import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.losses import source_cross_entropy, squared_distances
from gsda_tf.methods.base import Batch, Method, setting
from gsda_tf.models.classifier import NearestHead


def prototypes(features: tf.Tensor, labels: tf.Tensor, num_classes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """(mean feature of each class [r, d], 0 where it has no sample; samples a class [r]) of [n, d] and int [n]."""
    members = tf.one_hot(labels, num_classes, dtype=features.dtype)
    counts = tf.reduce_sum(members, axis=0)
    sums = tf.matmul(members, features, transpose_a=True)
    return tf.math.divide_no_nan(sums, counts[:, None]), counts


def symmetric_divergence(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """1/2 [KL(P||Q) + KL(Q||P)], float32 [N], of log-probabilities [N, r]."""
    return 0.5 * tf.reduce_sum((tf.exp(first) - tf.exp(second)) * (first - second), axis=1)


class TPN(Method):
    """Prototypes of both domains that are the same."""

    name, title = "tpn", "TPN"
    # A batch of 36 has one image a class, and unbounded distances at weight 1 outweigh the source: docs/methods.md.
    regimes = {"frozen": {"source_batch": 128, "target_batch": 128, "general_weight": 0.1, "task_weight": 0.1}}

    class Options:
        general_weight: float = setting(1.0, "a, weight of the distances between prototypes", minimum=0)
        task_weight: float = setting(1.0, "b, weight of the divergence between predictions by prototypes", minimum=0)
        prototype_decay: float = setting(0.9, "share of a deployed prototype that a step keeps", minimum=0, maximum=1)

    def build(self) -> None:
        units, r = self.problem.feature_units, self.problem.num_classes
        self.classifier = NearestHead(r, units, r, units**0.5)
        tf_variable(self.classifier.labels).assign(range(r))

    def step(self, s) -> None:
        b = s.forward()
        s.descend(self.loss, b, "extractor")
        kept = tf_variable(self.classifier.anchors)
        means, counts = (tf.stop_gradient(x) for x in self._source(b))
        decay = tf.where(tf.reduce_any(kept != 0, axis=1), self.options.prototype_decay, 0.0)[:, None]
        s.assign([kept], [tf.where(counts[:, None] > 0, decay * kept + (1.0 - decay) * means, kept)])

    def loss(self, b: Batch) -> tf.Tensor:
        whole, r, temperature = b.whole, self.problem.num_classes, self.classifier.temperature
        source, source_counts = self._source(b)
        # A class without source sample in the batch is where its kept prototype is.
        kept = tf.stop_gradient(tf.convert_to_tensor(self.classifier.anchors))
        source = tf.where(source_counts[:, None] > 0, source, kept)
        seen = (source_counts > 0) | tf.reduce_any(kept != 0, axis=1)
        near = tf.where(seen, -squared_distances(whole.target, source) / temperature, whole.features.dtype.min)
        target, target_counts = prototypes(whole.target, tf.argmax(near, axis=1), r)
        both = (source_counts > 0) & (target_counts > 0)
        mean = tf.math.divide_no_nan(
            source * source_counts[:, None] + target * target_counts[:, None],
            (source_counts + target_counts)[:, None],
        )
        lots = (source, target, mean)
        logits = [-squared_distances(b.features, lot) / temperature for lot in lots]
        own = -self._distance_to_own(b, source, source_counts, kept) / temperature
        mine = tf.one_hot(b.labels, r, on_value=True, off_value=False, dtype=tf.bool)
        against_others = tf.where(mine, own[:, None], _only(logits[0][: b.num_source], seen))
        task = b.mean(source_cross_entropy(against_others, b.labels))
        count = tf.maximum(tf.reduce_sum(tf.cast(both, task.dtype)), 1.0)
        general, divergence = tf.zeros([]), tf.zeros([])
        for i, j in ((0, 1), (0, 2), (1, 2)):
            apart = tf.reduce_sum(tf.square(lots[i] - lots[j]), axis=1) / temperature
            general += tf.reduce_sum(tf.where(both, apart, 0.0)) / count
            pair = [tf.nn.log_softmax(_only(logits[k], both)) for k in (i, j)]
            divergence += b.mean(symmetric_divergence(*(tf.where(both, p, 0.0) for p in pair))) / 3.0
        b.log("loss/classification", task)
        b.log("alignment/class", b.share(general))
        b.log("alignment/divergence", divergence)
        return task + self.options.general_weight * b.share(general) + self.options.task_weight * divergence

    @staticmethod
    def _distance_to_own(b: Batch, means: tf.Tensor, counts: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
        """Squared distance, float32 [Ns], of a source sample to the prototype of its class without itself."""
        mean, count, before = (tf.gather(x, b.labels) for x in (means, counts, kept))
        others = tf.math.divide_no_nan(count[:, None] * mean - b.source, count[:, None] - 1.0)
        alone = tf.where(tf.reduce_any(before != 0, axis=1, keepdims=True), before, mean)
        return tf.reduce_sum(tf.square(b.source - tf.where(count[:, None] > 1, others, alone)), axis=1)

    def _source(self, b: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        return prototypes(b.whole.source, b.whole.labels, self.problem.num_classes)


def _only(logits: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    """Logits [N, r] in which classes that are not meant, bool [r], have no part. Finite, also where none is meant."""
    return tf.where(classes, logits, tf.fill(tf.shape(logits), tf.constant(-1e30, logits.dtype)))
