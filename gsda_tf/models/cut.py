"""A backbone cut in two (`--train_from`): what comes before the border is frozen, what follows is trained."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator
from typing import Any

import keras

from gsda_tf.errors import UserError

_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Cut:
    """Both parts of a backbone, which share its layers; those of the front are made not trainable.

    Attributes:
      front: preprocessed images -> the border, the one tensor that crosses.
      rest: border -> what the backbone gives.
    """

    front: keras.Model
    rest: keras.Model


def cut(model: keras.Model, place: str) -> Cut:
    """Cuts a backbone.

    Args:
      model: functional or sequential, of images of a fixed size.
      place: "stage<K>": the first layer with weights whose map is 2^K times smaller than the image is the first to be
        trained; "last": the same of the smallest map; or the name of that layer.

    Raises:
      UserError: no single tensor crosses there; it names places where one does.
    """
    places = _Places(model) if len(model.inputs) == len(model.outputs) == 1 else None
    border = places and (places.stages.get(place) or places.firsts.get(place))
    if not border:
        raise UserError(_refusal(model.name, place, places))
    tensor = places.tensor(border)
    parts = Cut(keras.Model(model.inputs, tensor), keras.Model(tensor, model.outputs[0]))
    for layer in parts.front.layers:
        layer.trainable = False
    return parts


def _refusal(name: str, place: str, places: _Places | None) -> str:
    firsts = [*places.firsts] if places else []
    like = difflib.get_close_matches(place, firsts, _SHOWN) or firsts[-_SHOWN:]
    return (
        f"--train_from={place}: {name} cannot be cut there in two that a single tensor joins; expected "
        + (f"{', '.join([*places.stages, *like])}, ... ({len(firsts)} layers)" if like else "a network that can be cut")
        + ", or --freeze_backbone."
    )


class _Places:
    """The graph of a model, its layers in an order in which each comes after those that feed it.

    A layer's output crosses alone if nothing before the layer feeds anything behind it, in whatever such order.

    Attributes:
      stages: the border before each stage, by "stage<K>" and "last"; it is left out where there is none close to it.
      firsts: the border before each layer that may be the first to be trained, by its name.
    """

    def __init__(self, model: keras.Model):
        # Sequential models and subclasses have a graph as well, but do not tell it.
        plain = keras.Model(model.inputs, model.outputs)
        # Keras 3 has operations that are no layers in a graph.
        self._parts: dict[str, Any] = {part.name: part for part in getattr(plain, "operations", plain.layers)}
        nodes = {part["name"]: part["inbound_nodes"] for part in plain.get_config()["layers"]}
        last_use = {source: i for i, node in enumerate(nodes.values()) for source in _sources(node, nodes)}
        image = tuple(model.input_shape[1:])
        self._order, self._sizes, self._levels, self._weighted = list(nodes), {}, [], []
        reach = -1
        for i, (name, node) in enumerate(nodes.items()):
            part = self._parts[name]
            nested = isinstance(part, keras.Model)
            shape = part.output_shape if nested else getattr(part.output, "shape", ())
            shape = tuple(shape)[1:]
            self._weighted.append(bool(getattr(part, "variables", ())))
            has_map = self._weighted[i] and len(shape) == 3 and shape[0] and image[0]
            self._levels.append(round(math.log2(image[0] / shape[0])) if has_map else None)
            alone = reach <= i and len(node) == 1 and not nested and any(self._weighted)
            if alone and shape and None not in shape and shape != image:
                self._sizes[i] = math.prod(shape)
            reach = max(reach, last_use.get(name, len(nodes)))
        # A map that is followed by larger ones is squeezed for a moment, and begins no stage; padding begins none.
        least = max(level or 0 for level in self._levels)
        for i in reversed(range(len(nodes))):
            least = self._levels[i] = min(least, least if self._levels[i] is None else self._levels[i])
        self.stages = self._stages()
        self.firsts = {name: border for i, name in enumerate(nodes) if (border := self._before(i))}

    def tensor(self, name: str):
        """The output of a layer that `stages` or `firsts` name."""
        return self._parts[name].output

    def _stages(self) -> dict[str, str]:
        levels = [level if weighted else 0 for level, weighted in zip(self._levels, self._weighted)]
        stages = {}
        for level in range(1, max(levels) + 1):
            first = next(i for i, other in enumerate(levels) if other >= level)
            stages[f"stage{level}"] = self._before(first, level - 1)
        if stages:
            stages["last"] = stages[f"stage{max(levels)}"]
        return {name: border for name, border in stages.items() if border}

    def _before(self, first: int, level: int | None = None) -> str | None:
        """The layer whose output is the border if layer `first`, or the next that has weights, is trained first.

        Args:
          first: its place in the order.
          level: with it, what lies before it without a branch, and where maps are at most 2^level times smaller than
            the image, may be trained as well, if less than half as much is kept then: what widens before it narrows.
        """
        first = next((i for i in range(first, len(self._order)) if self._weighted[i]), 0)
        best, share = None, 1
        for i in reversed(range(first)):
            near = level is None or self._levels[i] >= level
            if i in self._sizes and near and (best is None or share * self._sizes[i] < self._sizes[best]):
                best = i
            if self._weighted[i]:
                share = 2
                if level is None or (best is not None and i not in self._sizes):
                    break
        return None if best is None else self._order[best]


def _sources(node: Any, names: dict[str, Any]) -> Iterator[str]:
    """Yields the layers that feed a node, by its configuration: [name, node, tensor] in Keras 2 and 3 alike."""
    if isinstance(node, dict):
        node = list(node.values())
    if not isinstance(node, (list, tuple)):
        return
    if len(node) >= 3 and isinstance(node[0], str) and node[0] in names and isinstance(node[1], int):
        yield node[0]
    for part in node:
        yield from _sources(part, names)
