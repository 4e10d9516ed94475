"""SPL: "Unsupervised Domain Adaptation via Structured Prediction Based Selective Pseudo-Labeling" (Wang and Breckon,
AAAI 2020). In closed form, on the backbone's features; no gradients.

Rows x are prepared (below), projected on 512 principal components of both domains, and scaled to length 1. Then T + 1
times, over the labelled rows (the source's, and target rows selected so far) with n_c of class c and their sum s_c,
    A = sum_i n_{y_i} x_i x_i',  B = A - sum_c s_c s_c' + I,  W: the leading generalized eigenvectors of (A, B)
    z = (x W - mean) / length;  m_c: mean of the source's z of class c, scaled;  p1 = softmax_c(-|z - m_c|)
    structure: k-means on the target from the m_c gives k_c, p2 = softmax_c(-|z - k_c|);  p = max(p1, p2)
and of each class the t/T surest target rows are selected with their labels. Sums over rows are made by blocks, and
matrices are e x e at most: a million images need room for their features alone.

Clusters take it that the target has every class. Where it has not, p = p2 with k_c the means of the target's z by
labels that spread from p1 over a graph S of neighbours: F <- a S F + (1 - a) p1 (Zhou et al., NeurIPS 2004). A class
that gets no row so is missing, and never the answer.

Labels of target rows that are given (`--target_labels`) stand: such rows are selected from the start, and m_c is the
scaled sum of their mean and the source's, however few they are.

Decided without labels, unless an option says otherwise: which of the two (`rare_classes`), whether the root of the
features is taken, and whether each domain's mean is taken off (`decide`). Where a preparation is matched wrongly,
classes change places, and neither its sureness nor its clusters show it. What does is that the others do not agree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import scipy.linalg
import scipy.sparse
import sklearn.neighbors
import tensorflow as tf

from gsda_tf.compat import tf_variable
from gsda_tf.errors import UserError
from gsda_tf.losses import squared_distances
from gsda_tf.methods.base import setting
from gsda_tf.methods.closed_form import Fitted

_COMPONENTS = 512
_BLOCK = 8192
_KMEANS_ROUNDS = 100
_SHARPENED_BY = 4096
"""Target rows by which the sharpness is set."""
_NEVER = 1e4
_RARE, _MISSING = 0.25, 0.15
"""A class is rare below this part of its share of the source; where so many of the classes are, some are missing."""
_NEIGHBOURS, _KEPT, _GRAPH_ROUNDS, _GRAPH_SHARPNESS, _GRAPH_ROWS = 10, 0.9, 30, 10.0, 20_000
"""Of the graph: neighbours of a row, what it keeps of theirs in a round, rounds, sharpness of what is spread, and rows
at most; of a larger target they are drawn evenly, and all others belong to the nearest of the means that are found."""
_ALARM = 0.03
"""By how much less than another the usual preparation may agree with the rest: more than the 0.02 that were seen where
its answer was better all the same (docs/choosing.md)."""

PREPARATIONS = {"root": (True, False), "plain": (False, False), "centred": (False, True), "root_centred": (True, True)}
"""(whether the root is taken, whether each domain's mean is taken off) by name; the usual one first."""
STRUCTURES = ("clusters", "neighbours", "off")


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of x [n, d] scaled to length 1; rows of zeros stay."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def blocks(x: np.ndarray) -> Iterator[np.ndarray]:
    """Rows of x, float64, some thousand at a time."""
    for first in range(0, len(x), _BLOCK):
        yield x[first : first + _BLOCK].astype(np.float64)


def by_blocks(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """`function` of the rows of x, some thousand at a time."""
    return np.concatenate([function(rows) for rows in blocks(x)])


@dataclasses.dataclass(frozen=True)
class Preparation:
    """x -> the rows that SPL works on: root, length 1, mean taken off, length 1, principal components, length 1.

    Attributes:
      name: of `PREPARATIONS`. The root, if it is taken, keeps the sign of the feature.
      means: float64 [e], of the source's and of the target's rows; zeros if they stay where they are.
      components: float64 [e, k].
    """

    name: str
    means: tuple[np.ndarray, np.ndarray]
    components: np.ndarray

    @classmethod
    def fit(cls, name: str, source: np.ndarray, target: np.ndarray) -> Preparation:
        """Of features [ns, e] and [nt, e]."""
        domains, e = (source, target), source.shape[1]
        made = cls(name, (np.zeros(e),) * 2, np.eye(0))
        if PREPARATIONS[name][1]:
            means = tuple(sum(made.rows(b, 0).sum(axis=0) for b in blocks(x)) / len(x) for x in domains)
            made = dataclasses.replace(made, means=means)
        scatter, total, count = 0.0, 0.0, len(source) + len(target)
        for i, x in enumerate(domains):
            for rows in (made.rows(b, i) for b in blocks(x)):
                scatter, total = scatter + rows.T @ rows, total + rows.sum(axis=0)
        scatter -= np.outer(total, total) / count
        k = min(_COMPONENTS, e, count - 1)
        return dataclasses.replace(made, components=scipy.linalg.eigh(scatter, subset_by_index=[e - k, e - 1])[1])

    def rows(self, x: np.ndarray, domain: int) -> np.ndarray:
        """Before the components, float64 [n, e], of a block of source (0) or target (1)."""
        x = unit(np.sign(x) * np.sqrt(np.abs(x)) if PREPARATIONS[self.name][0] else x)
        return unit(x - self.means[domain])

    def __call__(self, x: np.ndarray, domain: int) -> np.ndarray:
        """float32 [n, k] of features [n, e]."""
        return by_blocks(lambda b: unit(self.rows(b, domain) @ self.components).astype(np.float32), x)


def class_means(z: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Means of rows [n, m] by class, scaled to length 1, float64 [r, m]; 0 where a class has none."""
    return unit(_sums(z, labels, num_classes))


def preserving(x: np.ndarray, labels: np.ndarray, num_classes: int, units: int) -> np.ndarray:
    """W: leading generalized eigenvectors of (A, B), which keep rows of a class together.

    Args:
      x: float [n, k], labelled rows.
      labels: int [n].
      num_classes: r.
      units: m.

    Returns:
      float64 [k, m], w' B w = 1.
    """
    counts = np.bincount(labels, minlength=num_classes).astype(np.float64)
    a = sum((rows * n[:, None]).T @ rows for rows, n in zip(blocks(x), blocks(counts[labels])))
    k, sums = x.shape[1], _sums(x, labels, num_classes)
    b = a - sums.T @ sums + np.eye(k)
    return scipy.linalg.eigh(a, (b + b.T) / 2, subset_by_index=[k - units, k - 1])[1]


def cluster_centres(z: np.ndarray, start: np.ndarray) -> np.ndarray:
    """k-means of rows [n, m] from centres [r, m]; each result, scaled to length 1, belongs to the class it began at. A
    centre that no row is nearest to stays."""
    centres, before = start, np.zeros(0)
    for _ in range(_KMEANS_ROUNDS):
        nearest = by_blocks(lambda b, k=centres: (b @ k.T - 0.5 * (k**2).sum(axis=1)).argmax(axis=1), z)
        if np.array_equal(nearest, before):
            break
        before, counts = nearest, np.bincount(nearest, minlength=len(start))[:, None]
        centres = np.where(counts > 0, _sums(z, nearest, len(start)) / np.maximum(counts, 1), centres)
    return unit(centres)


def neighbour_graph(z: np.ndarray, count: int = _NEIGHBOURS) -> scipy.sparse.csr_matrix:
    """D^-1/2 S D^-1/2 of unit rows [n, m]: S has the cubed cosines of the nearest `count` others, made symmetric."""
    if len(z) < 2:
        return scipy.sparse.identity(len(z), format="csr")
    nearest = sklearn.neighbors.NearestNeighbors(n_neighbors=min(count, len(z) - 1)).fit(z)
    graph = nearest.kneighbors_graph(mode="distance")  # without itself
    graph.data = np.maximum(1.0 - graph.data.astype(np.float64) ** 2 / 2, 0.0) ** 3
    graph = graph.maximum(graph.T)
    scale = scipy.sparse.diags(1.0 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel() + 1e-12))
    return scale @ graph @ scale


def spread(graph: scipy.sparse.csr_matrix, first: np.ndarray) -> np.ndarray:
    """Values float64 [n, k], spread over a graph of neighbours: means of what is near."""
    values = start = np.concatenate([first, np.ones([len(first), 1])], axis=1)
    for _ in range(_GRAPH_ROUNDS):
        values = _KEPT * (graph @ values) + (1.0 - _KEPT) * start
    return values[:, :-1] / values[:, -1:]


def propagated_centres(z: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
    """Means of the rows [n, m] that the prototypes' predictions, spread over a graph of neighbours, give to each class,
    scaled to length 1, [r, m]. Those of a class to which none is given are not finite: it is missing."""
    z = z[:: -(-len(z) // _GRAPH_ROWS)]
    first = np.exp(log_prediction(z.astype(np.float64), prototypes, prototypes, _GRAPH_SHARPNESS))
    given = spread(neighbour_graph(z), first).argmax(axis=1)
    centres = class_means(z, given, len(prototypes))
    centres[np.bincount(given, minlength=len(prototypes)) == 0] = np.inf
    return centres


def distances(z: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """|z - c|, float64 [n, r], of unit rows [n, m] and centres [r, m]; infinite from a class that is missing."""
    there = np.isfinite(centres).all(axis=1)
    apart = np.full([len(z), len(centres)], np.inf)
    near = centres[there]
    apart[:, there] = np.sqrt(np.maximum((z**2).sum(1)[:, None] + (near**2).sum(1) - 2 * z @ near.T, 0.0))
    return apart


def log_prediction(z: np.ndarray, prototypes: np.ndarray, centres: np.ndarray, sharpness: float = 1.0) -> np.ndarray:
    """log max(p1, p2), float64 [n, r], of rows [n, m]."""
    both = [-sharpness * distances(z, c) for c in (prototypes, centres)]
    return np.maximum(*(x - np.log(np.exp(x).sum(axis=1, keepdims=True)) for x in both))


@dataclasses.dataclass(frozen=True)
class Answer:
    """SPL's answer for a preparation.

    Attributes:
      preparation: of the rows.
      structure: of `STRUCTURES`.
      projection: W, float64 [k, m].
      mean: of x W over both domains, [m].
      prototypes: m_c, [r, m].
      centres: k_c; the prototypes where there is no structure.
      labels: int [nt].
    """

    preparation: Preparation
    structure: str
    projection: np.ndarray
    mean: np.ndarray
    prototypes: np.ndarray
    centres: np.ndarray
    labels: np.ndarray


def select(labels: np.ndarray, sureness: np.ndarray, num_classes: int, share: float) -> np.ndarray:
    """Returns whether a target row is among the surest `share` of those with its label, bool [nt]; at least one a
    label."""
    order = np.lexsort((np.arange(len(labels)), -sureness, labels))
    counts = np.bincount(labels, minlength=num_classes)
    place = np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place < np.ceil(counts * share - 1e-9)[labels]


def solve(
    prepared: Preparation, source: np.ndarray, labels: np.ndarray, target: np.ndarray, num_classes: int, units: int,
    rounds: int, structure: str, taught: np.ndarray,
) -> Answer:  # fmt: skip
    """Runs SPL on prepared rows.

    Args:
      prepared: how.
      source: float32 [ns, k].
      labels: int [ns].
      target: float32 [nt, k].
      num_classes: r.
      units: m, or k if that is less.
      rounds: T.
      structure: of `STRUCTURES`.
      taught: int [nt], labels of target rows that are given, -1 elsewhere: they stand, and are selected from the start.
    """
    fixed, units = np.flatnonzero(taught >= 0), min(units, source.shape[1])
    given = taught[fixed]
    rows, known = np.concatenate([source, target[fixed]]), np.concatenate([labels, given])
    for t in range(1, rounds + 2):
        w = preserving(rows, known, num_classes, units)
        z = [by_blocks(lambda b, w=w: (b @ w).astype(np.float32), x) for x in (source, target)]
        mean = sum(x.sum(axis=0, dtype=np.float64) for x in z) / (len(source) + len(target))
        zs, zt = (unit(x - mean.astype(np.float32)) for x in z)
        prototypes = class_means(zs, labels, num_classes)
        if len(fixed):
            prototypes = unit(prototypes + class_means(zt[fixed], given, num_classes))
        if structure == "neighbours":
            prototypes = propagated_centres(zt, prototypes)
        centres = cluster_centres(zt, prototypes) if structure == "clusters" else prototypes
        predictions = [log_prediction(b, prototypes, centres) for b in blocks(zt)]
        answer, sureness = (np.concatenate(x) for x in zip(*((p.argmax(axis=1), p.max(axis=1)) for p in predictions)))
        answer[fixed], sureness[fixed] = given, 0.0
        kept = select(answer, sureness, num_classes, min(t / rounds, 1.0))
        kept[fixed] = True
        rows, known = np.concatenate([source, target[kept]]), np.concatenate([labels, answer[kept]])
    return Answer(prepared, structure, w, mean, prototypes, centres, answer)


def _sums(x: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Sums of rows by class, float64 [r, d]."""
    return sum(np.equal.outer(np.arange(num_classes), y) @ rows for rows, y in zip(blocks(x), blocks(labels)))


class PreparedMap(keras.layers.Layer):
    """x -> z: what `Preparation` and W make of a target image's features. It takes the place of the bottleneck.

    Args:
      units_in: e.
      components: k.
      units_out: m.
    """

    def __init__(self, units_in: int, components: int, units_out: int):
        super().__init__(dtype="float32", name="bottleneck")
        shapes = {"root": (), "mean": (units_in,), "components": (units_in, components)}
        shapes.update(projection=(components, units_out), offset=(units_out,))
        for name, shape in shapes.items():
            start = "zeros" if len(shape) < 2 else keras.initializers.Identity()
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer=start, trainable=False))
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """float32 [N, m] of float32 [N, e]."""
        x = tf.where(tf.convert_to_tensor(self.root) > 0, tf.sign(x) * tf.sqrt(tf.abs(x)), x)
        mean, offset = tf.convert_to_tensor(self.mean), tf.convert_to_tensor(self.offset)
        x = tf.math.l2_normalize(tf.math.l2_normalize(x, axis=1) - mean, axis=1)
        x = tf.math.l2_normalize(tf.matmul(x, tf.convert_to_tensor(self.components)), axis=1)
        return tf.math.l2_normalize(tf.matmul(x, tf.convert_to_tensor(self.projection)) - offset, axis=1)


class TwoPrototypesHead(keras.Model):
    """Logits s log max(p1, p2), where p1 and p2 are softmaxes of minus the distance to two sets of prototypes.

    Args:
      feature_units: m.
      num_classes: r.
    """

    def __init__(self, feature_units: int, num_classes: int):
        super().__init__(dtype="float32", name="prototypes")
        for name, shape in (("prototypes", (num_classes, feature_units)), ("centres", (num_classes, feature_units)),
                            ("absent", (num_classes,)), ("sharpness", ())):  # fmt: skip
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer="zeros", trainable=False))
        self.built = True

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """float32 [N, r] of float32 [N, m]; a class that the source lacks is never the answer."""
        pair = []
        for lot in (self.prototypes, self.centres):
            # The root has no slope at 0, and nothing here is trained.
            apart = tf.sqrt(squared_distances(features, tf.convert_to_tensor(lot)))
            pair.append(tf.nn.log_softmax(-apart - _NEVER * tf.convert_to_tensor(self.absent)))
        return tf.convert_to_tensor(self.sharpness) * tf.maximum(*pair)


def rare_classes(answer: np.ndarray, labels: np.ndarray, num_classes: int) -> float:
    """Share of the classes to which an answer, int [nt], gives less than a quarter of their share of the source."""
    there, here = (np.bincount(y, minlength=num_classes) / len(y) for y in (labels, answer))
    return float((here < _RARE * there)[there > 0].mean())


def agreements(answers: Mapping[str, np.ndarray], witness: np.ndarray) -> dict[str, float]:
    """Of each preparation's answer with those of the others and the witness, int [nt]: mean shares of equal labels."""
    others = {name: [x for n, x in answers.items() if n != name] + [witness] for name in answers}
    return {name: float(np.mean([(answers[name] == x).mean() for x in others[name]])) for name in answers}


def decide(agreement: Mapping[str, float]) -> str:
    """Returns which preparation's answer stands: the first's, unless one that agrees better with the rest, by more
    than `_ALARM`, shows that it is matched wrongly; then the one that agrees best.

    Args:
      agreement: `agreements`; the first is the usual one.
    """
    first, best = next(iter(agreement)), max(agreement, key=agreement.__getitem__)
    return best if agreement[best] > agreement[first] + _ALARM else first


def witness(source: np.ndarray, labels: np.ndarray, target: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns what ridge regression on the source's labels says of the target, int [nt]; rows are prepared."""
    mean = source.mean(axis=0, dtype=np.float64)
    shares = np.bincount(labels, minlength=num_classes) / len(labels)
    scatter = sum(b.T @ b for b in blocks(source)) - len(source) * np.outer(mean, mean)
    wanted = _sums(source, labels, num_classes).T - len(source) * np.outer(mean, shares)
    weights = scipy.linalg.solve(scatter + np.eye(len(mean)), wanted, assume_a="pos")
    return by_blocks(lambda b: ((b - mean) @ weights + shares).argmax(axis=1), target)


def sharpness(logits: np.ndarray, share: float) -> float:
    """s such that softmax(s logits), logits float [n, r], is as sure in the mean as `share`, by bisection of log s."""
    low, high = 0.0, 7.0
    logits = logits - logits.max(axis=1, keepdims=True)
    for _ in range(40):
        middle = (low + high) / 2
        sure = (1.0 / np.exp(np.exp(middle) * logits).sum(axis=1)).mean()
        low, high = (middle, high) if sure < share else (low, middle)
    return float(np.exp(low))


@dataclasses.dataclass(frozen=True)
class Adapted:
    """An answer and what it was made of.

    Attributes:
      answer: that stands; its labels count the classes that the source has.
      classes: int [r'], these classes.
      witness: what the source's classifier says, int [nt], counted likewise.
      remark: what was decided, and why.
    """

    answer: Answer
    classes: np.ndarray
    witness: np.ndarray
    remark: str


def adapt(
    source: np.ndarray, labels: np.ndarray, target: np.ndarray, units: int = 128, rounds: int = 10,
    preparation: str = "auto", structure: str = "auto", taught: np.ndarray | None = None,
) -> Adapted:  # fmt: skip
    """Runs SPL on features, and decides what is to be decided.

    Args:
      source: float32 [ns, e].
      labels: int [ns].
      target: float32 [nt, e].
      units: m, or as many as there are components.
      rounds: T.
      preparation: of `PREPARATIONS`, or "auto".
      structure: of `STRUCTURES`, or "auto".
      taught: int [nt], labels of target rows that are given, -1 elsewhere; None without any.
    """
    taught = np.full(len(target), -1) if taught is None else taught
    classes = np.unique(np.concatenate([labels, taught[taught >= 0]]))
    dense, taught = np.searchsorted(classes, labels), np.where(taught >= 0, np.searchsorted(classes, taught), -1)
    found: dict[str, Answer] = {}
    for name in PREPARATIONS if preparation == "auto" else (preparation,):
        made = Preparation.fit(name, source, target)
        rows = made(source, 0), made(target, 1)  # one after the other: of a million images those of one take 2 GB
        if not found:
            says = witness(rows[0], dense, rows[1], len(classes))
            rare = rare_classes(says, dense, len(classes))
            if structure == "auto":
                structure = "clusters" if rare < _MISSING else "neighbours"
        found[name] = solve(made, rows[0], dense, rows[1], len(classes), units, rounds, structure, taught)
    agreement = agreements({name: answer.labels for name, answer in found.items()}, says)
    name = decide(agreement)
    listed = ", ".join(f"{other} {100 * value:.0f} %" for other, value in agreement.items())
    remark = (
        f"SPL: --spl_preparation={name} --spl_structure={structure}, as a classifier of the source gives "
        f"{100 * rare:.0f} % of the classes next to no image. Agreement with the others: {listed}."
    )
    return Adapted(found[name], classes, says, remark)


class SPL(Fitted):
    """Selective pseudo-labels by structured prediction."""

    name, title = "spl", "SPL"

    class Options:
        spl_units: int = setting(128, "m, dimensions in which rows of a class lie together", minimum=1, maximum=512)
        spl_rounds: int = setting(10, "T, rounds until all target images are selected", minimum=1, maximum=1000)
        spl_preparation: str = setting(
            "auto", "what is done to features before; auto: decided without labels", choices=("auto", *PREPARATIONS)
        )
        spl_structure: str = setting(
            "auto", "what tells the target's structure; auto: clusters, or neighbours where classes are missing",
            choices=("auto", *STRUCTURES),
        )  # fmt: skip

    def build(self) -> None:
        problem = self.problem
        count, e = problem.num_source + problem.num_target, problem.embedding_units
        if count < 3:
            raise UserError(f"--method=spl needs three images, {count} found.")
        components = min(_COMPONENTS, e, count - 1)
        self.units = min(self.options.spl_units, components)
        self.place(PreparedMap(e, components, self.units), TwoPrototypesHead(self.units, problem.num_classes))
        self._facts: dict[str, Any] = {}

    def fit(self, source: np.ndarray, labels: np.ndarray, target: np.ndarray) -> None:
        options = self.options
        found = adapt(
            source, labels, target, self.units, options.spl_rounds, options.spl_preparation, options.spl_structure,
            self.problem.taught,
        )  # fmt: skip
        print(found.remark, flush=True)
        answer, made = found.answer, found.answer.preparation
        self._facts = {"preparation": made.name, "structure": answer.structure}
        # As sure in the mean as the answer agrees with the source's classifier.
        rows = made(target, 1)[:: -(-len(target) // _SHARPENED_BY)].astype(np.float64)
        logits = log_prediction(unit(rows @ answer.projection - answer.mean), answer.prototypes, answer.centres)
        sure = sharpness(logits, float((answer.labels == found.witness).mean()))
        there = np.isfinite(answer.prototypes).all(axis=1)
        every = {name: np.zeros([self.problem.num_classes, self.units]) for name in ("prototypes", "centres")}
        absent = np.ones(self.problem.num_classes)
        absent[found.classes[there]] = 0.0
        for name, values in every.items():
            values[found.classes[there]] = getattr(answer, name)[there]
        of_map = {"root": float(PREPARATIONS[made.name][0]), "mean": made.means[1], "components": made.components}
        of_map.update(projection=answer.projection, offset=answer.mean)
        for layer, named in ((self.map, of_map), (self.classifier, {**every, "absent": absent, "sharpness": sure})):
            for name, value in named.items():
                tf_variable(getattr(layer, name)).assign(np.asarray(value, np.float32))

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)
