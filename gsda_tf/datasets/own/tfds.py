"""Any set of labelled images that TFDS has, in its catalogue or in this package (`--pipeline=tfds`)."""

import re

from gsda_tf.data.classes import Brought, labelled, own_task
from gsda_tf.data.domain import TaskData
from gsda_tf.datasets.preparing import prepare
from gsda_tf.errors import UserError, choose
from gsda_tf.settings import DataSettings, several

_FORM = re.compile(r"((?P<set>\w+(/[\w.-]+)?)|(?P<folder>/.*?))(?::(?P<split>[\w.-]+(?:\[[\d%:-]+\])?))?", re.DOTALL)


def load(settings: DataSettings) -> TaskData:
    """The task of `--pipeline=tfds`.

    Args:
      settings: `source` and `target`, NAME[/CONFIG][:SPLIT], or FOLDER[:SPLIT] of a set that was stored, from / on;
        the split is "train" if none is named.

    Returns:
      The classes are the source's; those of the target are matched by name.

    Raises:
      UserError: a name that is not of that form or not known, or data that cannot be prepared.
      DataError: sets without one image and one class each, or with different classes.
    """
    if len(several(settings.source)) > 1:
        raise UserError(f"--source={settings.source}: several sources are taken of folders and arrays, not of TFDS.")
    (source, names), (target, _) = (_load(role, settings) for role in ("source", "target"))
    return own_task("tfds", labelled(source), target, names, settings, by_class=False)


def _load(role: str, settings: DataSettings) -> tuple[Brought, tuple[str, ...]]:
    """A domain, and the names of its classes."""
    import tensorflow_datasets as tfds

    value = getattr(settings, role)
    form = _FORM.fullmatch(value)
    if form is None:
        raise UserError(
            f"--{role}={value!r} is not of the form NAME[/CONFIG][:SPLIT], such as mnist:test, or FOLDER[:SPLIT], "
            "which --pipeline=tfds needs."
        )
    name, split = form["set"] or form["folder"], form["split"] or "train"
    plain = name.partition("/")[0]
    if form["set"] and not prepare.is_own(plain):
        choose("TFDS data set", plain, tfds.list_builders(with_community_datasets=False))
    title = re.sub(r"[^\w.-]+", "-", value).strip("-")
    try:
        builder = prepare.prepared_builder(name, settings)
        choose(f"split of {name}", split.partition("[")[0], builder.info.splits)
        domain = prepare.load_domain(name, split, title, settings)
    except ValueError as error:  # TFDS: no such configuration, or no such part of a split
        raise UserError(f"--{role}={value}: {str(error).splitlines()[-1][:300]}") from error
    names = tuple(builder.info.features[prepare.feature_of(builder, "ClassLabel")].names)
    classes = [None if label < 0 else names[label] for label in domain.labels]
    at = f"--{role}={value}"
    return Brought([value], [len(domain)], domain.records, classes, lambda row: at, title), names
