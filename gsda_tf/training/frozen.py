"""The frozen part of the backbone computes once, and training starts from it: `--freeze_backbone`, `--train_from`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import shutil

import numpy as np
import tensorflow as tf

from gsda_tf.compat import variable_name
from gsda_tf.data.checking import content_digests
from gsda_tf.data.domain import DomainData, TaskData
from gsda_tf.data.features import FeatureRecords, FeatureStore, JoinedRows, Rows
from gsda_tf.data.images import RULES
from gsda_tf.errors import DiskError
from gsda_tf.models.extractor import Extractor
from gsda_tf.progress import progress, size
from gsda_tf.settings import Settings
from gsda_tf.training.inference import Sharded

_IMAGES_A_FILE, _BYTES_A_FILE = 2048, 2**28
"""Computed features reach the disk at most so many at a time: that much an interruption can lose."""


def embedded(data: TaskData, extractor: Extractor, settings: Settings, strategy: tf.distribute.Strategy) -> TaskData:
    """The task with what the frozen part of the backbone makes of the images in place of them.

    It is kept by content of the image under a folder that stands for that part, its weights and all that is done to
    an image before, so no run computes it twice, whatever pipeline brings the images.

    Args:
      data: images.
      extractor: whose backbone is frozen, or a part of it.
      settings: image geometry, feature_cache_dir.
      strategy: whose replicas share the work.

    Returns:
      The same task whose records are `FeatureRecords`.

    Raises:
      UserError: the cache cannot be written.
      DiskError: there is no room for all of it.
    """
    rows = [_of_one(data, part, settings, strategy) for part in extractor.parts]
    domains = {}
    for role in rows[0]:
        features = rows[0][role] if len(rows) == 1 else JoinedRows([each[role] for each in rows])
        domain = getattr(data, role)
        domains[role] = dataclasses.replace(domain, records=FeatureRecords(features, domain.records))
    if "source" not in domains:  # a run is adapted without it
        none = domains["target"].records.chosen(np.zeros(0, np.int64))
        domains["source"] = dataclasses.replace(data.source, records=none)
    return dataclasses.replace(data, **domains)


def _of_one(
    data: TaskData, extractor: Extractor, settings: Settings, strategy: tf.distribute.Strategy
) -> dict[str, Rows]:
    """What one backbone makes of both domains, by role."""
    folder = os.path.join(cache_dir(settings), _key(extractor, settings))
    contents = os.path.join(cache_dir(settings), "contents")
    store = FeatureStore(folder)
    print(f"Features of the frozen backbone are kept in {folder}", flush=True)
    run = Sharded(extractor.freeze, settings.data, strategy)
    bytes_an_image = math.prod(extractor.border) * np.dtype(np.float32).itemsize
    domains = {role: getattr(data, role) for role in ("source", "target", "held") if getattr(data, role)}
    digests = {role: content_digests(domain, contents) for role, domain in domains.items()}
    missing = np.concatenate([digests[role][store.find(digests[role])[1]] for role in domains])
    _check_room(folder, len(np.unique(missing)), len(missing), bytes_an_image)
    count = max(1, min(_IMAGES_A_FILE, _BYTES_A_FILE // bytes_an_image))
    return {role: _features(domain, digests[role], store, run, count) for role, domain in domains.items()}


def _check_room(folder: str, images: int, named: int, bytes_an_image: int) -> None:
    """Says how much is going to be computed: of so many images, which the domains name so often.

    Raises:
      DiskError: it is more than the disk has room for.
    """
    if not images:
        return
    needed, free = images * bytes_an_image, shutil.disk_usage(folder).free
    what = f"{size(needed)} for the centre crop of {images:,} images"
    what += f" ({named - images:,} of {named:,} are copies of others)" if named > images else ""
    if needed > free:
        raise DiskError(
            f"{folder} has room for {size(free)}, but there are {what} to keep: choose another --feature_cache_dir, "
            "or a later --train_from."
        )
    print(f"To be computed: {what}", flush=True)


def cache_dir(settings: Settings) -> str:
    """Returns where features are kept."""
    data_dir = settings.data.data_dir or os.path.join("~", "tensorflow_datasets")
    return os.path.expanduser(settings.model.feature_cache_dir or os.path.join(data_dir, "features"))


def _features(domain: DomainData, digests: np.ndarray, store: FeatureStore, run: Sharded, count: int) -> Rows:
    """[n, ...]; what is not kept is computed, `count` images a file."""
    found, missing = store.find(digests)
    if not missing.any():
        return found
    with store.locked():
        found, missing = store.find(digests)  # another run may have computed them meanwhile
        # An image that is there twice is computed once.
        todo = np.flatnonzero(missing)[np.sort(np.unique(digests[missing], return_index=True)[1])]
        with progress(total=len(todo), unit="image", desc=f"backbone on {domain.name}") as bar:
            for first in range(0, len(todo), count):
                chosen = todo[first : first + count]
                store.add(digests[chosen], run(domain.chosen(chosen), bar.update)[0])
    return store.find(digests)[0]


def _key(extractor: Extractor, settings: Settings) -> str:
    """A name for the backbone, its weights, and all that is done to an image before it."""
    data, digest = settings.data, hashlib.sha256()
    ramp = tf.broadcast_to(tf.reshape(tf.range(256, dtype=tf.float32), [1, 16, 16, 1]), [1, 16, 16, 3])
    layers = [(type(layer).__name__, _unnamed(layer.get_config())) for layer in extractor.frozen.layers]
    recipe = [RULES, data.image_size, data.resize_size, settings.device.precision, 0, layers]  # 0: no random crops
    digest.update(json.dumps(recipe, sort_keys=True, default=str).encode())
    digest.update(extractor.preprocess(ramp).numpy().tobytes())
    for variable in extractor.frozen.variables:
        digest.update(f"{variable_name(variable)} {tuple(variable.shape)}".encode())
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return f"{extractor.backbone.name}-{digest.hexdigest()[:16]}"


def _unnamed(config):
    """A layer's configuration without names, which count up with every model that a process builds."""
    if isinstance(config, dict):
        made = {k: _unnamed(v) for k, v in config.items() if k not in ("name", "inbound_nodes", "build_config")}
        return {**made, "trainable": True} if "trainable" in made else made  # what is frozen computes the same
    return config
