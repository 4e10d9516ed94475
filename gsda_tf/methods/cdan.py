"""CDAN: "Conditional Adversarial Domain Adaptation" (Long et al., NeurIPS 2018).

DANN whose critic sees the multilinear map h = vec(p ⊗ f), h[c d + j] = p_c f_j, with p = softmax(C(f)) stopped: else C
would be trained to fool the critic. With --entropy_conditioning (CDAN+E, the paper's number) sample i weighs
w_i = 1 + exp(-H(p_i)), each domain's weights normalised to sum 1; as in the paper and its authors' code the gradient
flows through w, reversed as the critic's is (others stop it). Wide maps are replaced by products of two fixed Gaussian
projections with --cdan_random.
"""

import tensorflow as tf

from gsda_tf.losses import conditional_entropy, discrimination_entropy, reverse_gradient
from gsda_tf.methods.base import Batch, setting
from gsda_tf.methods.dann import DANN, describe


def multilinear_map(features: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    """vec(p ⊗ f), class by class: float32 [N, r d] of [N, d] and [N, r]."""
    product = probabilities[:, :, None] * features[:, None, :]
    return tf.reshape(product, [features.shape[0], probabilities.shape[1] * features.shape[1]])


def entropy_weights(b: Batch, entropies: tf.Tensor) -> tf.Tensor:
    """1 + exp(-H), each domain normalised to sum 1 over the global batch; the sums carry no gradient. [N] of [N]."""
    weights = 1.0 + tf.exp(-entropies)
    parts = []
    for part in (weights[: b.num_source], weights[b.num_source :]):
        parts.append(part / tf.stop_gradient(b.total(tf.reduce_sum(part))))
    return tf.concat(parts, axis=0)


class CDAN(DANN):
    """A critic that sees features and predictions together."""

    name, title = "cdan", "CDAN"
    discriminator_rate = 1.0  # of new layers, as published: a critic of so many inputs needs no more

    class Options(DANN.Options):
        entropy_conditioning: bool = setting(False, "weigh samples by 1 + exp(-entropy): CDAN+E")
        cdan_random: int = setting(0, "width of the randomized map; 0: the whole product", minimum=0, maximum=2**17)

    def build(self) -> None:
        super().build()
        problem, units = self.problem, self.options.cdan_random
        if units:
            for name, width in (("features", problem.feature_units), ("classes", problem.num_classes)):
                seed = [problem.seed % 2**31, len(name)]
                matrix = tf.random.stateless_normal([width, units], seed, dtype=tf.float32)
                self.kept[f"random_{name}"] = tf.Variable(matrix, trainable=False, name=f"random_{name}")

    @property
    def seen_units(self) -> int:
        return self.options.cdan_random or self.problem.feature_units * self.problem.num_classes

    def seen(self, b: Batch) -> tf.Tensor:
        probabilities = tf.stop_gradient(tf.nn.softmax(b.logits))
        if not self.options.cdan_random:
            return multilinear_map(b.features, probabilities)
        left, right = b.features @ self.kept["random_features"], probabilities @ self.kept["random_classes"]
        return left * right / self.options.cdan_random**0.5

    def discrimination(self, b: Batch) -> tf.Tensor:
        if not self.options.entropy_conditioning:
            return super().discrimination(b)
        strength = self.strength(b)
        logits = self.critic(reverse_gradient(self.seen(b), strength))[0]
        weights = entropy_weights(b, reverse_gradient(conditional_entropy(b.logits), strength))
        return describe(b, logits, 0.5 * tf.reduce_sum(weights * discrimination_entropy(logits, b.domains)))
