"""Tells the data that a run was trained on from others: facts that are kept with the run, and what differs now."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gsda_tf.data.domain import UNLABELLED, Domain, TaskData
from gsda_tf.errors import DataError

_SHOWN = 4
_NAMES = 8

Fingerprint = Mapping[str, Mapping[str, Sequence[Any]]]
"""By role and class name ("" if unlabelled): how many images, and a digest of their files' names and sizes, or of
arrays."""


def fingerprint(data: TaskData) -> Fingerprint:
    """Computes what tells these data from others wherever they lie: folders and lists may be moved."""
    found = {role: _of_domain(getattr(data, role), data.class_names) for role in ("source", "target")}
    if data.target.taught is not None:
        taught = _of_domain(dataclasses.replace(data.target, labels=data.target.taught), data.class_names)
        found["trained target"] = {name: value for name, value in taught.items() if name}
    return found


def sizes(of: Fingerprint) -> tuple[int, int]:
    """Images of the source and of the target."""
    source, target = (sum(count for count, _ in of[role].values()) for role in ("source", "target"))
    return source, target


def changes(then: Fingerprint, now: Fingerprint) -> str:
    """Says what differs, for a message; "" if nothing does."""
    said = []
    for role in dict.fromkeys((*then, *now)):
        before, after = then.get(role, {}), now.get(role, {})
        for name in dict.fromkeys((*before, *after)):
            what = f"{role} class {name!r}" if name else f"unlabelled {role}"
            (count, digest), (count_now, digest_now) = (list(each.get(name, (0, ""))) for each in (before, after))
            if count != count_now:
                said.append(f"{what}: {count:,} images then, {count_now:,} now")
            elif digest != digest_now:
                said.append(f"{what}: as many images, but files of other names or sizes, or other arrays")
    return "; ".join(said[:_SHOWN]) + (f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else "")


def with_classes(data: TaskData, names: Sequence[str]) -> TaskData:
    """The task whose labels count in the classes of a run: names belong to its weights.

    Args:
      data: whose classes may be in another order, or fewer.
      names: r names, in the run's order.

    Raises:
      DataError: a class that the run does not know.
    """
    names = tuple(names)
    if data.class_names == names:
        return data
    place = {name: label for label, name in enumerate(names)}
    unknown = [name for name in data.class_names if name not in place]
    if unknown:
        raise DataError(
            f"The data have classes that the run does not know: {_listed(unknown)}. It was trained on {len(names)} "
            f"classes: {_listed(names)}. These names belong to its weights: call the classes as they were then, or "
            "train a new run, which --init_from=RUN starts from the weights of this one."
        )
    to_run = np.asarray([*(place[name] for name in data.class_names), UNLABELLED], np.int32)  # the last is at -1
    domains = {role: _relabelled(getattr(data, role), to_run) for role in ("source", "target")}
    return dataclasses.replace(data, class_names=names, **domains)


def _relabelled(domain: Domain, to_run: np.ndarray) -> Domain:
    labels = to_run[domain.labels]
    order = np.argsort(labels, kind="stable")
    taught = None if domain.taught is None else to_run[domain.taught]
    domain = dataclasses.replace(domain, labels=labels, taught=taught)
    return domain if (np.diff(order) == 1).all() else domain.chosen(order)


def _of_domain(domain: Domain, names: Sequence[str]) -> dict[str, list]:
    found = {}
    for label in np.unique(domain.labels):
        digest, indices = hashlib.blake2b(digest_size=16), np.flatnonzero(domain.labels == label)
        for index in indices:
            digest.update(domain.records.mark(int(index)))
        found["" if label == UNLABELLED else names[label]] = [len(indices), digest.hexdigest()]
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_NAMES])) + (", ..." if len(names) > _NAMES else "")
