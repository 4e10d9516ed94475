"""The method written down naively, to measure the training step against: the slow way, with the same mathematics.

Two forward and two backward passes of the backbone, one network and one tape for each discriminator, every
discriminator on every sample.
"""

from __future__ import annotations

import tensorflow as tf

from gsda_tf.losses import conditional_entropy, domain_labels, ramp_up, safe_norm, source_cross_entropy
from gsda_tf.methods.gsda import alignment, synchronization
from gsda_tf.methods.optimizer import MomentumSGD, learning_rate
from gsda_tf.training.experiment import Experiment


class PlainStep:
    """Takes the place of an experiment's `TrainingStep`; one replica, float32.

    Args:
      experiment: its E, C, hierarchy and settings are used; its discriminators are copied one by one.
    """

    def __init__(self, experiment: Experiment):
        self._extractor, self._classifier = experiment.extractor, experiment.method.classifier
        self._hierarchy = experiment.method.hierarchy
        self._settings = experiment.settings
        self.discriminators = [
            (
                [tf.Variable(w[k], name="kernel") for w in bank.kernels],
                [tf.Variable(b[k], name="bias") for b in bank.biases],
            )
            for bank in experiment.method.bank.banks
            for k in range(bank.num_discriminators)
        ]
        options = self._settings.optimization
        extractor = self._extractor
        common = {"momentum": options.momentum, "weight_decay": options.weight_decay}
        self._variables = [v for kernels, biases in self.discriminators for v in (*kernels, *biases)]
        self._discriminator_optimizer = _optimizer(self._variables, options.discriminator_rate, **common)
        self._backbone = list(extractor.backbone.trainable_variables)
        self._heads = [*extractor.bottleneck.trainable_variables, *self._classifier.trainable_variables]
        self._backbone_optimizer = _optimizer(self._backbone, options.backbone_rate, **common)
        self._head_optimizer = _optimizer(self._heads, 1.0, **common)

    def __call__(self, batch: dict[str, tf.Tensor], step: tf.Tensor) -> dict[str, tf.Tensor]:
        """Updates E, C and D once; the same batch and the same metrics as `TrainingStep`, fewer of them."""
        options, method = self._settings.optimization, self._settings.options
        progress = tf.cast(step, tf.float32) / options.steps
        rate = learning_rate(options.learning_rate, options.rate_decay, progress)
        strength = method.adversarial_weight / len(self._hierarchy.levels)
        strength = ramp_up(strength, method.adversarial_ramp, progress)
        alpha = ramp_up(method.alpha, method.alpha_ramp, progress)
        images = tf.concat([batch["source_images"], batch["target_images"]], axis=0)
        labels = batch["source_labels"]
        count = labels.shape[0]
        extractor, classifier = self._extractor, self._classifier

        features = tf.stop_gradient(extractor(images, training=True))
        weights, domains = self._weights(labels, classifier(features[count:]), images.shape[0])
        with tf.GradientTape() as tape:
            losses, synchronization_loss = self._losses(features, weights, domains)
            loss = losses + method.beta * synchronization_loss  # (14)
        self._discriminator_optimizer.apply(tape.gradient(loss, self._variables), rate)

        variables = [*self._backbone, *self._heads]
        with tf.GradientTape() as tape:
            features = extractor(images, training=True)
            logits = classifier(features)
            cross_entropy = tf.reduce_mean(source_cross_entropy(logits[:count], labels))
            loss = cross_entropy + alpha * tf.reduce_mean(conditional_entropy(logits[count:]))  # (5)
            losses, synchronization_loss = self._losses(features, weights, domains)
            loss += strength * (method.beta * synchronization_loss - losses)  # (16)
        gradients = tape.gradient(loss, variables)
        self._backbone_optimizer.apply(gradients[: len(self._backbone)], rate)
        self._head_optimizer.apply(gradients[len(self._backbone) :], rate)
        return {"loss/classification": cross_entropy, "loss/synchronization": synchronization_loss}

    def _weights(self, labels, target_logits, size):
        probabilities = alignment.class_probabilities(labels, target_logits, self._hierarchy.num_classes)
        weights = alignment.loss_weights(probabilities, tf.constant(self._hierarchy.membership))
        return weights, domain_labels(labels.shape[0], size - labels.shape[0])

    def _losses(self, features, weights, domains):
        """(sum of all L_k, L^syn)."""
        losses, magnitudes = [], []
        for k, (kernels, biases) in enumerate(self.discriminators):
            with tf.GradientTape() as inner:
                inner.watch(features)
                x = features
                for i, (kernel, bias) in enumerate(zip(kernels, biases)):
                    x = x @ kernel + bias
                    x = tf.nn.relu(x) if i < len(kernels) - 1 else x
                entropies = tf.nn.sigmoid_cross_entropy_with_logits(domains, tf.squeeze(x, -1))
                loss = tf.reduce_mean(weights[k] * entropies)
            losses.append(loss)
            magnitudes.append(tf.reduce_sum(safe_norm(inner.gradient(loss, features))))
        return tf.add_n(losses), synchronization.synchronization_loss(tf.stack(magnitudes), self._hierarchy)


def _optimizer(variables, rate, momentum, weight_decay) -> MomentumSGD:
    return MomentumSGD(variables, momentum=momentum, weight_decay=weight_decay, rate=rate)
