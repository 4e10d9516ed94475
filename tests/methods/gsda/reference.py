"""The method once more, slowly: plain NumPy in float64, one discriminator and one sample at a time.

Written from the equations, sharing no code with the package.
"""

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def logit(kernels, biases, f):
    """D_k(f) of one discriminator for one feature vector."""
    for i, (kernel, bias) in enumerate(zip(kernels, biases)):
        f = f @ kernel + bias[0]
        if i < len(kernels) - 1:
            f = np.maximum(f, 0)
    return float(f[0])


def entropy(kernels, biases, f, d):
    """H(D_k(f), d)."""
    p = sigmoid(logit(kernels, biases, f))
    return -(d * np.log(p) + (1 - d) * np.log(1 - p))


def slope(kernels, biases, f, d, eps=1e-6):
    """dH/df by central differences."""
    gradient = np.zeros_like(f)
    for j in range(len(f)):
        step = np.zeros_like(f)
        step[j] = eps
        gradient[j] = (entropy(kernels, biases, f + step, d) - entropy(kernels, biases, f - step, d)) / (2 * eps)
    return gradient


def losses_and_magnitudes(kernels, biases, features, domains, weights):
    """(L_k [K], S_k [K]) of (6)-(8) and of the terms of (10) and (11)."""
    K, N = weights.shape
    losses, magnitudes = np.zeros(K), np.zeros(K)
    for k in range(K):
        ws, bs = [w[k] for w in kernels], [b[k] for b in biases]
        for i in range(N):
            losses[k] += weights[k, i] * entropy(ws, bs, features[i], domains[i]) / N
            magnitudes[k] += weights[k, i] * np.linalg.norm(slope(ws, bs, features[i], domains[i])) / N
    return losses, magnitudes


def synchronization(magnitudes, groups):
    """(12) for one level of groups, given as lists of classes; rows are domain, groups, classes."""
    b = len(groups)
    domain, group, classes = magnitudes[0], magnitudes[1 : 1 + b], magnitudes[1 + b :]
    upper = abs(domain - sum(group))
    lower = sum(abs(group[q] - sum(classes[k] for k in groups[q])) for q in range(b)) / b
    return upper + lower


def loss_weights(labels, target_probabilities, groups):
    """W: ones, then group and class probabilities, source first; [1 + b + r, N]."""
    r = target_probabilities.shape[1]
    p = np.concatenate([np.eye(r)[labels], target_probabilities])
    rows = [np.ones(len(p))]
    rows += [sum(p[:, k] for k in group) for group in groups]
    rows += [p[:, k] for k in range(r)]
    return np.stack(rows)
