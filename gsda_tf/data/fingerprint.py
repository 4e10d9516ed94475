"""Tells the data that a run was trained on from others: facts that are kept with the run, and what differs now."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gsda_tf.data.classes import listed
from gsda_tf.data.domain import UNKNOWN, UNLABELLED, DomainData, TaskData
from gsda_tf.errors import DataError

Fingerprint = Mapping[str, Mapping[str, Sequence[Any]]]
"""By role and class name ("" if unlabelled): how many images, and a digest of their files' names, sizes and
ends, or of arrays."""


def fingerprint(data: TaskData) -> Fingerprint:
    """Computes facts by which the data are known again wherever they lie: folders and lists may be moved."""
    found = {role: _of_domain(domain, data.class_names) for role, domain in data.roles}
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
            if (count, digest) != (count_now, digest_now):
                others = ", of other names or content" if count == count_now else ""
                said.append(f"{what}: {count:,} images then, {count_now:,} now{others}")
    return listed(said, "; ")


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
        new, known = (listed([*map(repr, each)]) for each in (unknown, names))
        raise DataError(
            f"The data have classes that the run does not know: {new}. It has {len(names)} classes: {known}. "
            "Their names belong to its weights: call the classes as they were then, or train a new run, which "
            "--init_from=RUN starts from the weights of this one."
        )
    to_run = np.asarray([*(place[name] for name in data.class_names), UNLABELLED], np.int32)  # the last is at -1
    domains = {}
    for role, domain in data.roles:
        taught = None if domain.taught is None else to_run[domain.taught]
        relabelled = dataclasses.replace(domain, labels=to_run[domain.labels], taught=taught)
        # Those without a label, -1, come last, as in every domain.
        domains[role] = relabelled.chosen(np.argsort(relabelled.labels.astype(np.uint32), kind="stable"))
    return dataclasses.replace(data, class_names=names, **domains)


def with_unknown(data: TaskData) -> TaskData:
    """The task where all classes of no source image are one, `UNKNOWN`, which stands last, and says so.

    Raises:
      DataError: the source has images of a class of that name, or of one class alone.
    """
    learnt = [name for label, name in enumerate(data.class_names) if (data.source.labels == label).any()]
    if UNKNOWN in learnt or len(learnt) < 2:
        said = f"the source has {listed(learnt)}: expected at least two classes, and none called {UNKNOWN!r}"
        raise DataError(f"--unknown=reject: {said}.")
    others = sorted({data.class_names[label] for label in data.target.labels[data.target.labels >= 0]} - {*learnt})
    as_one = tuple(name if name in learnt else UNKNOWN for name in data.class_names)
    made = with_classes(dataclasses.replace(data, class_names=as_one), (*learnt, UNKNOWN))
    count = int((made.target.labels == len(learnt)).sum())
    said = f"Unknown: {count:,} target images, of classes that the source has not: {listed(others)}."
    known = {"score": "hos", "remarks": (*made.remarks, said)} if count else {}
    return dataclasses.replace(made, unknown=True, **known)


def _of_domain(domain: DomainData, names: Sequence[str]) -> dict[str, list]:
    found = {}
    for label in np.unique(domain.labels):
        digest, indices = hashlib.blake2b(digest_size=16), np.flatnonzero(domain.labels == label)
        for index in indices:
            digest.update(domain.records.mark(int(index)))
        found["" if label == UNLABELLED else names[label]] = [len(indices), digest.hexdigest()]
    return found
