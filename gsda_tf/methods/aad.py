"""AaD: "Attracting and Dispersing: A Simple Approach for Source-free Domain Adaptation" (Yang et al., NeurIPS 2022),
here beside the source's cross-entropy.

Of every target image are remembered f / |f| and p = softmax(z). N(i): its K nearest others by cosine,
    loss = w mean_i [ -sum_{j in N(i)} p_i . p_j + (1 + 10 t)^-beta sum_{m != i in the batch} p_i . p_m ]
t: progress of the run. Neighbours, which are remembered, attract; the batch disperses. As in the paper, and in the
authors' code for all but their largest data, both factors of the second product move.
"""

import tensorflow as tf

from gsda_tf.methods.base import Batch, TermMethod, setting
from gsda_tf.methods.memory import MemoryTerm


def attraction(probabilities: tf.Tensor, remembered: tf.Tensor) -> tf.Tensor:
    """-sum_j p_i . p_j, float32 [N], of [N, r] and what neighbours are, [N, K, r]."""
    return -tf.einsum("ik,ijk->i", probabilities, tf.stop_gradient(remembered))


def dispersion(probabilities: tf.Tensor) -> tf.Tensor:
    """Mean over i of sum_{m != i} p_i . p_m, a scalar, of the whole batch [N, r]."""
    total = tf.reduce_sum(probabilities, axis=0)
    pairs = tf.reduce_sum(tf.square(total)) - tf.reduce_sum(tf.square(probabilities))
    return pairs / tf.cast(tf.shape(probabilities)[0], pairs.dtype)


class AaDTerm(MemoryTerm):
    """Attracting and dispersing, to be added."""

    name = "aad"
    replaces_entropy = True

    class Options:
        aad_weight: float = setting(0.3, "weight of attraction and dispersion", minimum=0)
        aad_neighbours: int = setting(5, "K, neighbours that attract", minimum=1, maximum=1000)
        aad_decay: float = setting(1.0, "beta, by which the dispersion fades", minimum=0)

    def loss(self, b: Batch) -> tf.Tensor:
        options = self.options
        remembered = self.neighbours(b, options.aad_neighbours)
        attracted = b.mean(attraction(tf.nn.softmax(b.target_logits), remembered))
        fading = tf.cast((1.0 + 10.0 * b.progress) ** -options.aad_decay, attracted.dtype)
        return options.aad_weight * (attracted + fading * b.share(dispersion(tf.nn.softmax(b.whole.target_logits))))


class AaD(TermMethod):
    """Source cross-entropy, attracting and dispersing."""

    name, title, term, Options = "aad", "AaD", AaDTerm, AaDTerm.Options
