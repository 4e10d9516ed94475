"""Comparing two computations that are the same but for rounding, on any processor.

Two orders of summation, two kernels or two numbers of devices round differently. In float32 that is no small matter: a
ReLU at its kink, a top-k at a tie or a label at its threshold turns one unit in the last place into a jump, so that no
tolerance is both safe and sharp, and a seed that happens to pass proves nothing. In float64 the chance of a jump falls
by the same 5e8 as the rounding does, and what a wrong formula would change stands out by many orders of magnitude.

`double` gives the package's own modules read with float64 for float32: the source is the same, its literals are not.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import glob
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from types import ModuleType

import keras
import numpy as np
import tensorflow as tf

import gsda_tf
from gsda_tf import compat

_NAME = "gsda_tf_double"
# What computes on features and weights. Images are bytes until the extractor casts them, so their way there is shared.
_DOUBLED = frozenset(("compat", "losses", "methods", "models", "recipes", "settings", "training"))


def bound(terms: int, dtype=np.float64) -> float:
    """What a sum of so many terms may be off in any order, as a share of the sum of their sizes: n u / (1 - n u).

    A chain of matrix products, as here, is off by no more than the bound of all its terms added up; see Higham,
    Accuracy and Stability of Numerical Algorithms, chapter 3.

    Args:
      terms: n; layers behind one another add up.
      dtype: floating; its unit roundoff is u.
    """
    n = terms * float(np.finfo(dtype).eps) / 2
    return n / (1 - n)


STEP = bound(1_000_000)
"""1.1e-10, relative to the size of what is compared, for one training step in float64 of the networks of these tests.
Their longest sums, the gradients of a convolution, have 1,600 terms (24 images of 8x8 pixels), and a step has some 20
layers behind one another, forwards and backwards: 32,000. The rest is for sums that nearly cancel."""


FORWARD = bound(3000, np.float32)
"""1.8e-4, the same for what comes forward through the networks of these tests in float32: small_cnn at 16 pixels and a
bottleneck add up 2,900 products one behind the other."""


def distance(one, other) -> float:
    """How far two arrays, or two lists or dicts of them, are apart: the largest difference, as a share of the largest
    number of its array.

    Of an array, not of each number: rounding is relative to what was added up, and a number near 0 is what is left.
    """
    if isinstance(one, Mapping):
        assert one.keys() == other.keys()
        one, other = list(one.values()), [other[name] for name in one]
    pairs = list(zip(one, other)) if isinstance(one, list) else [(one, other)]
    assert pairs and (not isinstance(one, list) or len(one) == len(other))
    worst = 0.0
    for a, b in pairs:
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert a.shape == b.shape, (a.shape, b.shape)
        assert np.isfinite(a).all() and np.isfinite(b).all()
        size = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
        if size > 0:
            worst = max(worst, float(np.abs(a - b).max() / size))
    return worst


def single(module: str) -> ModuleType:
    """A module of the package as it is, such as single("training.step")."""
    return importlib.import_module(f"gsda_tf.{module}")


def double(module: str) -> ModuleType:
    """A module of the package in float64, such as double("training.step"). Use it inside of `in_double`.

    It is a module of its own, with classes of its own; errors, images and files are the package's.
    """
    _write_sources()
    return importlib.import_module(f"{_NAME}.{module}")


@contextlib.contextmanager
def in_double() -> Iterator[None]:
    """Keras makes layers in float64 where nothing else is said."""
    before = keras.backend.floatx()
    with compat.precision_policy("float64"):  # first: Keras 3 sets a policy by `floatx` when it is asked for it
        keras.backend.set_floatx("float64")
        try:
            yield
        finally:
            keras.backend.set_floatx(before)


@functools.cache
def _write_sources() -> tempfile.TemporaryDirectory:
    """Writes the sources of gsda_tf_double, and puts them where Python finds them until the process ends.

    As files, because autograph reads the source of what it traces.
    """
    package = os.path.dirname(gsda_tf.__file__)
    folder = tempfile.TemporaryDirectory()
    plain = os.path.join(os.path.dirname(package), "benchmarks", "plain_step.py")
    for path in (*glob.glob(os.path.join(package, "**", "*.py"), recursive=True), plain):
        inside = os.path.join("benchmarks", "plain_step.py") if path == plain else os.path.relpath(path, package)
        if path != plain and inside != "__init__.py" and inside.split(os.sep)[0].removesuffix(".py") not in _DOUBLED:
            continue
        with open(path, encoding="utf-8") as file:
            tree = _Doubling().visit(ast.parse(file.read(), path))
        written = os.path.join(folder.name, _NAME, inside)
        os.makedirs(os.path.dirname(written), exist_ok=True)
        with open(written, "w", encoding="utf-8") as file:
            file.write(ast.unparse(ast.fix_missing_locations(tree)))
    sys.path.append(folder.name)
    return folder


class _Doubling(ast.NodeTransformer):
    """float64 for float32, and the doubled modules for those that they are made of."""

    def visit_Import(self, node):
        if [alias.name for alias in node.names] == ["tensorflow"]:
            return ast.parse("from tests.rounding import TENSORFLOW as tf").body
        return node

    def visit_ImportFrom(self, node):
        if node.module == "gsda_tf":
            doubled = [alias for alias in node.names if alias.name in _DOUBLED]
            rest = [alias for alias in node.names if alias.name not in _DOUBLED]
            parts = [(f"{_NAME}", doubled), ("gsda_tf", rest)]
            return [ast.ImportFrom(module, names, 0) for module, names in parts if names]
        if node.module and node.module.startswith("gsda_tf.") and node.module.split(".")[1] in _DOUBLED:
            node.module = _NAME + node.module[len("gsda_tf") :]
        return node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        if node.attr == "float32":
            node.attr = "float64"
        return node

    def visit_Constant(self, node):
        if node.value == "float32":
            return ast.copy_location(ast.Constant("float64"), node)
        return node


_as_written = tf.autograph.experimental.do_not_convert


class _Tensorflow:
    """TensorFlow whose constructors make float64 of Python's numbers where they would make float32."""

    def __getattr__(self, name):
        return getattr(tf, name)

    @staticmethod
    @_as_written
    def zeros(shape, dtype=tf.float64, **options):
        return tf.zeros(shape, dtype, **options)

    @staticmethod
    @_as_written
    def ones(shape, dtype=tf.float64, **options):
        return tf.ones(shape, dtype, **options)

    @staticmethod
    @_as_written
    def constant(value, dtype=None, **options):
        return tf.constant(_wide(value, dtype), dtype, **options)

    @staticmethod
    @_as_written
    def convert_to_tensor(value, dtype=None, **options):
        return tf.convert_to_tensor(_wide(value, dtype), dtype, **options)

    @staticmethod
    @_as_written
    def fill(dims, value, **options):
        return tf.fill(dims, _wide(value), **options)

    @staticmethod
    @_as_written
    def where(condition, x=None, y=None, **options):
        return tf.where(condition, _wide(x), _wide(y), **options)


def _wide(value, dtype=None):
    """Python's floats as NumPy's, which stay what they are."""
    if dtype is None and isinstance(value, float):
        return np.float64(value)
    if dtype is None and isinstance(value, (list, tuple)) and np.asarray(value, object).size:
        return np.asarray(value) if all(isinstance(v, float) for v in np.asarray(value, object).ravel()) else value
    return value


TENSORFLOW = _Tensorflow()
