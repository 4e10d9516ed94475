"""Entropy minimisation (Grandvalet and Bengio, NeurIPS 2004), as a term: the target's mean H(softmax(z))."""

import tensorflow as tf

from gsda_tf.losses import conditional_entropy
from gsda_tf.methods.base import Batch, Term, setting


class EntropyTerm(Term):
    """The target's conditional entropy, to be added. Alone it collapses to few classes: MCC and BNM keep diversity."""

    name = "entropy"
    replaces_entropy = True

    class Options:
        entropy_term_weight: float = setting(0.1, "weight of the target's entropy", minimum=0)

    def loss(self, b: Batch) -> tf.Tensor:
        return self.options.entropy_term_weight * b.mean(conditional_entropy(b.target_logits))
