"""From a builder's name to a domain: prepared on first use, read by index ever after."""

from __future__ import annotations

import contextlib
import functools
import glob
import importlib
import io
import json
import os
import shutil
import socket
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gsda_tf.data.augmentation import AUGMENTATIONS
from gsda_tf.data.batches import evaluation_batches
from gsda_tf.data.domain import DomainData
from gsda_tf.data.records import ArrayRecords, SourceRecords
from gsda_tf.datasets.preparing import finding
from gsda_tf.errors import DataError, DiskError, UserError, choose
from gsda_tf.files import disk_errors, one_at_a_time, open_regular, read_regular, remove_unfinished, replacing
from gsda_tf.progress import progress
from gsda_tf.settings import DataSettings

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# Where TFDS downloads what it has no list of files for.
_HOSTS = {"domainnet": ("csr.bu.edu",)}
_AT_ONCE = 256
_MOST_JSON = 2**24


def load_domain(name: str, split: str, domain: str, settings: DataSettings) -> DomainData:
    """One split of a data set as a domain.

    Args:
      name: of a builder of this package, or of the TFDS catalogue ("domainnet/clipart").
      split: of the data set.
      domain: what tables and messages call it.
      settings: where prepared data and the user's own copies lie.

    Raises:
      UserError: the data are not there, or not complete.
    """
    builder = prepared_builder(name, settings)
    import tensorflow_datasets as tfds

    key = feature_of(builder, "Image")
    decoders = {key: tfds.decode.SkipDecoding()}
    if builder.info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
        source = builder.as_data_source(split, decoders=decoders)
    else:  # as somebody has stored it: in memory, encoded
        source = list(tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders)))
    name_key = "filename" if "filename" in builder.info.features else None
    files = [str(path) for path in builder.info.splits[split].filepaths]
    records = SourceRecords(source, key, f"{name}/{split}", name_key, files)
    return DomainData(domain, records, _labels(builder, split, source))


def loader(
    name: str, domains: Mapping[str, str], splits: Mapping[str, str] | None = None
) -> Callable[[str, DataSettings], DomainData]:
    """`load_domain` by the code of a domain, whose name stands for {} in the name of the set.

    Args:
      name: of the set.
      domains: names of the domains by their codes.
      splits: of the set, by the same; None: they are called like the domains.
    """

    def load(code: str, settings: DataSettings) -> DomainData:
        return load_domain(name.format(domains[code]), (splits or domains)[code], domains[code], settings)

    return load


def load_decoded(name: str, split: str, domain: str, settings: DataSettings) -> DomainData:
    """As `load_domain`, with the pixels in memory where every change to an image begins with the same ones.

    Random crops are taken of the images as they are: with an `--augmentation` that crops, or a margin to crop from,
    they stay encoded.

    Args:
      name: of a builder.
      split: of the data set; its n decoded images must fit into memory.
      domain: what tables and messages call it.
      settings: sizes, augmentation, folders.

    Returns:
      A domain of uint8 [n, S, S, 3], S the network's size.

    Raises:
      UserError: see `load_domain`.
    """
    encoded = load_domain(name, split, domain, settings)
    if AUGMENTATIONS[settings.augmentation].random_crop or settings.resize_size != settings.image_size:
        return encoded
    size, folder = settings.image_size, str(prepared_builder(name, settings).data_dir)
    path, shape = os.path.join(folder, f"pixels-{split}-{size}.npy"), (len(encoded), size, size, 3)

    def decode() -> Iterator[np.ndarray]:
        geometry = DataSettings(image_size=size, resize_size=size)
        return evaluation_batches(encoded, geometry, _AT_ONCE).as_numpy_iterator()

    pixels = kept_beside(path, np.empty(shape, np.uint8), decode, f"{domain} pixels")
    return DomainData(domain, ArrayRecords(pixels, f"{name}/{split}"), encoded.labels)


def feature_of(builder: tfds.core.DatasetBuilder, kind: str) -> str:
    """The name of the one feature of a kind, "Image" or "ClassLabel".

    Raises:
      DataError: there is none, or more than one.
    """
    import tensorflow_datasets as tfds

    features = builder.info.features
    of_kind = getattr(tfds.features, kind)
    found = [name for name in getattr(features, "keys", tuple)() if isinstance(features[name], of_kind)]
    if len(found) != 1:
        raise DataError(
            f"{builder.name} is no set of images with one class each: it has {len(found)} features of kind {kind}, "
            "expected one."
        )
    return found[0]


def prepared_builder(name: str, settings: DataSettings) -> tfds.core.DatasetBuilder:
    """The builder called `name`, of this package or of the TFDS catalogue, prepared for reading by index.

    Data that were prepared before are used as they are, which is said where `manual_dir` is given.

    Raises:
      UserError: see `load_domain`; or it cannot be downloaded.
    """
    if os.path.isabs(name):
        return stored_builder(name)
    builder, manual_dir = _builder(name, settings.data_dir), manual_dir_of(settings)
    if builder.is_prepared():
        if is_own(name) and settings.manual_dir:
            _tell_origin(name, str(builder.data_dir), *sorted(set(builder.info.metadata["prepared_from"].values())))
        return builder
    if not settings.download:
        raise UserError(
            f"{builder.name} is not prepared in {builder.data_dir}, and is not fetched unasked, such as where a run's "
            "folder alone names it: say --download if you want it, or --data_dir where it is."
        )
    with one_at_a_time(os.path.dirname(builder.data_dir), f"prepares {name}"):
        builder = _builder(name, settings.data_dir)
        if not builder.is_prepared():  # by another process in the meantime
            for path in glob.glob(glob.escape(str(builder.data_dir)) + ".incomplete*"):  # of a process that was killed
                shutil.rmtree(path, ignore_errors=True)
            _check_reachable(builder, manual_dir)
            _prepare(builder, manual_dir, quiet=is_own(name))
            builder = _builder(name, settings.data_dir)
            total = builder.info.splits.total_num_examples
            print(f"Prepared {name}: {total:,} images in {builder.data_dir}", file=sys.stderr)
    return builder


@functools.lru_cache(maxsize=16)
def _tell_origin(name: str, folder: str, *paths: str) -> None:
    """Says it once: the user's copy may have changed since."""
    print(f"{name} is as it was prepared from {', '.join(paths)}: remove {folder} to prepare it anew.", file=sys.stderr)


def stored_builder(folder: str) -> tfds.core.DatasetBuilder:
    """A set that was stored in a folder by TFDS, without the code that made it.

    Raises:
      DataError: there is none; or its features are other classes than TFDS's own, which would be imported.
    """
    import tensorflow_datasets as tfds

    try:
        told = json.loads(read_regular(os.path.join(folder, "features.json"), _MOST_JSON))
        kinds = list(_class_names(told))
        if not all(kind.startswith("tensorflow_datasets.core.features.") for kind in kinds):
            raise DataError(f"{folder} has features of other kinds than TFDS's own ({kinds}): use from_dataset.")
        return tfds.builder_from_directory(folder)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{folder} holds no set that TFDS stored ({error}): expected dataset_info.json and features.json there, as "
            "in NAME/VERSION or NAME/CONFIG/VERSION."
        ) from error


def _class_names(told: Any) -> Iterator[str]:
    """Names of the classes that a features.json tells, in whatever way it is written."""
    for key, value in told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ():
        if str(key).replace("_", "").lower() in ("pythonclassname", "type") and isinstance(value, str):
            yield value
        yield from _class_names(value)


def is_own(name: str) -> bool:
    """Returns whether this package has a builder called `name`."""
    folder = os.path.dirname(os.path.dirname(__file__))
    return name.isidentifier() and os.path.isfile(os.path.join(folder, name, f"{name}_dataset_builder.py"))


def has_own(name: str, settings: DataSettings) -> bool:
    """Returns whether a builder of this package is prepared, or what it needs lies under the manual folder."""
    builder = _builder(name, settings.data_dir)
    return builder.is_prepared() or bool(builder.find(manual_dir_of(settings)))


def catalogue_class_names(name: str) -> tuple[str, ...]:
    """The class names of a data set of the TFDS catalogue, in the order of its labels. Downloads nothing."""
    builder = _builder(name, "")
    return tuple(builder.info.features[feature_of(builder, "ClassLabel")].names)


def manual_dir_of(settings: DataSettings) -> str:
    """Returns the folder where the user's own copies are looked for: the setting, or the folder that TFDS uses."""
    if settings.manual_dir:
        return os.path.abspath(os.path.expanduser(settings.manual_dir))
    import tensorflow_datasets as tfds

    root = settings.data_dir or str(tfds.core.constants.DATA_DIR)
    return os.path.join(os.path.expanduser(root), "downloads", "manual")


def _builder(name: str, data_dir: str) -> tfds.core.DatasetBuilder:
    """A builder by its code alone. `tfds.builder` would take what its code does not know from files in `data_dir`, and
    import whatever module these name.

    Raises:
      UserError: no such configuration.
    """
    import tensorflow_datasets as tfds

    data_dir = os.path.expanduser(data_dir) if data_dir else None
    if is_own(name):
        return importlib.import_module(f"gsda_tf.datasets.{name}.{name}_dataset_builder").Builder(data_dir=data_dir)
    plain, _, config = name.partition("/")
    kind = tfds.builder_cls(plain)
    if config and not kind.builder_configs:
        raise UserError(f"{plain} has no configurations: leave /{config} out.")
    if config:
        choose(f"configuration of {plain}", config, kind.builder_configs)
    builder = kind(data_dir=data_dir, config=config or None)
    if builder.is_prepared() and builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
        # Prepared by somebody else in another format: leave that alone.
        builder = kind(data_dir=os.path.join(builder.data_dir_root, "array_record"), config=config or None)
    return builder


def _prepare(builder: tfds.core.DatasetBuilder, manual_dir: str, *, quiet: bool) -> None:
    """Downloads and writes; TFDS writes aside and moves into place."""
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    root = os.path.join(str(builder.data_dir_root).removesuffix(os.sep + "array_record"), "downloads")
    if quiet:
        tfds.disable_progress_bar()  # ours tells how much is left
    spoken = contextlib.redirect_stdout(io.StringIO() if quiet else sys.stderr)
    try:
        with spoken, disk_errors(f"preparing {builder.name} in {builder.data_dir}"):
            builder.download_and_prepare(download_dir=root, download_config=config, file_format="array_record")
    except UserError:
        raise
    except Exception as error:  # TFDS lets through whatever the network, the disk or an archive raised.
        otherwise = "It is downloaded on first use: check the network, or prepare it elsewhere and set --data_dir."
        raise UserError(
            f"{builder.name} could not be prepared in {builder.data_dir}: {type(error).__name__}: "
            f"{(str(error).strip() or 'no reason given').splitlines()[0][:300]}. "
            f"{builder.MANUAL_DOWNLOAD_INSTRUCTIONS or otherwise}"
        ) from error


def _check_reachable(builder: tfds.core.DatasetBuilder, manual_dir: str) -> None:
    """TFDS asks a host whose name nobody knows for minutes before it gives up; this asks once.

    Raises:
      UserError: no host of the downloads can be resolved, and nothing was downloaded before.
    """
    listed = builder.url_infos or {}
    names = tuple(info.filename for info in listed.values())
    hosts = sorted({urllib.parse.urlparse(url).hostname for url in listed} or _HOSTS.get(builder.name, ()))
    downloads = glob.glob(os.path.join(glob.escape(str(builder.data_dir_root)), "downloads", "*"))
    there = any(os.path.isfile(path) and not path.endswith(".INFO") for path in downloads)
    own = next(finding.files(manual_dir, lambda name: name.endswith(names)), None)
    if not hosts or urllib.request.getproxies() or there or own is not None:
        return
    for host in hosts:
        with contextlib.suppress(OSError):
            socket.getaddrinfo(host, 443)
            return
    own = f"put the files as they are ({', '.join(sorted(names))}) into {manual_dir}, " if names else ""
    raise UserError(
        f"{builder.name} is downloaded on first use, and {' and '.join(hosts)} cannot be reached: check the network, "
        f"{own}or prepare it elsewhere and set --data_dir."
    )


def _labels(builder: tfds.core.DatasetBuilder, split: str, source) -> np.ndarray:
    """int32 [n], in the order of the records; if the set does not tell them, read once and kept beside the records."""
    counts = (builder.info.metadata or {}).get("class_counts", {}).get(split)
    if counts is None:
        key, path = feature_of(builder, "ClassLabel"), os.path.join(str(builder.data_dir), f"labels-{split}.npy")

        def read() -> Iterator[np.ndarray]:
            for start in range(0, len(source), _AT_ONCE):
                yield np.asarray([source[i][key] for i in range(start, min(start + _AT_ONCE, len(source)))])

        return kept_beside(path, np.empty(len(source), np.int32), read, f"{builder.name} {split} labels")
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    if len(labels) != len(source):
        raise DataError(
            f"{builder.data_dir} is damaged: {len(source):,} images but {len(labels):,} labels in {split}. Remove the "
            "folder to prepare it anew."
        )
    return labels


def kept_beside(path: str, array: np.ndarray, read: Callable[[], Iterable[np.ndarray]], desc: str) -> np.ndarray:
    """What was found in prepared data, from a file beside them; a folder that cannot be written costs time only.

    Args:
      path: of the file; one that is damaged, or of another array, is written anew.
      array: is filled.
      read: its rows, where they are not kept yet; what lies past its end is dropped.
      desc: of the progress bar.
    """
    with (
        contextlib.suppress(OSError, EOFError, ValueError, UserError),
        open_regular(path, array.nbytes + 2**16) as file,
    ):
        kept = np.load(file, allow_pickle=False)
        if kept.shape == array.shape and kept.dtype == array.dtype:
            return kept
    done = 0
    with progress(total=len(array), desc=desc, unit=" images", leave=False) as bar:
        for part in read():
            part = part[: len(array) - done]
            array[done : done + len(part)] = part
            done += len(part)
            bar.update(len(part))
    remove_unfinished(os.path.dirname(path))
    with contextlib.suppress(DiskError), replacing(path) as file:
        np.save(file, array)
    return array
