"""From a builder's name to a domain: prepared on first use, read by index ever after."""

from __future__ import annotations

import contextlib
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
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gsda_tf.data.domain import Domain
from gsda_tf.data.records import SourceRecords
from gsda_tf.datasets.preparing import finding
from gsda_tf.errors import DataError, DiskError, UserError, choose
from gsda_tf.files import disk_errors, one_at_a_time, open_regular, read_regular, remove_unfinished, replacing
from gsda_tf.progress import progress
from gsda_tf.settings import DataSettings

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

# Where TFDS downloads what it has no list of files for.
_HOSTS = {"domainnet": ("csr.bu.edu",)}
_LABELS_AT_ONCE = 512
_MOST_JSON = 2**24


def load_domain(name: str, split: str, domain: str, settings: DataSettings) -> Domain:
    """One split of a data set as a domain.

    Args:
      name: of a builder of this package, or of the TFDS catalogue ("domainnet/clipart").
      split: of the data set.
      domain: what tables and messages call it.
      settings: where prepared data and the user's own copies lie.

    Raises:
      UserError: the data are not there, not complete, or other than those that were prepared.
    """
    builder = prepared_builder(name, settings)
    import tensorflow_datasets as tfds

    key = feature_of(builder, "Image")
    decoders = {key: tfds.decode.SkipDecoding()}
    if builder.info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
        source = builder.as_data_source(split, decoders=decoders)
    else:  # as somebody has stored it: in memory, encoded
        source = InMemory(tfds.as_numpy(builder.as_dataset(split=split, decoders=decoders)))
    name_key = "filename" if "filename" in builder.info.features else None
    files = [str(path) for path in builder.info.splits[split].filepaths]
    records = SourceRecords(source, key, f"{name}/{split}", name_key, files)
    return Domain(domain, records, _labels(builder, split, source))


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
    """The builder called `name`, of this package or of the TFDS catalogue, prepared.

    Raises:
      UserError: see `load_domain`.
    """
    if os.path.isabs(name):
        return stored_builder(name)
    return own_builder(name, settings) if is_own(name) else catalogue_builder(name, settings)


class InMemory(list):
    """Records that are read as those of a data source."""

    def __getitems__(self, keys: Sequence[int]) -> list:
        return [self[key] for key in keys]


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


def own_builder(name: str, settings: DataSettings) -> tfds.core.DatasetBuilder:
    """A builder of this package, prepared.

    Data that were prepared before are used as they are, unless `manual_dir` holds other images of that set.

    Raises:
      UserError: see `load_domain`.
    """
    builder = _own(name, settings)
    manual_dir = manual_dir_of(settings)
    if not builder.is_prepared():
        _check_asked(builder, settings)
        with one_at_a_time(os.path.dirname(builder.data_dir), f"prepares {name}"):
            builder = _own(name, settings)
            if not builder.is_prepared():  # by another process in the meantime
                _remove_unfinished(str(builder.data_dir))
                if len(builder.find(manual_dir)) < len(builder.url_infos or {}):
                    _check_reachable(builder, manual_dir)
                _prepare(builder, settings, quiet=True)
                builder = _own(name, settings)
                total = builder.info.splits.total_num_examples
                print(f"Prepared {name}: {total:,} images in {builder.data_dir}", file=sys.stderr)
    elif settings.manual_dir and os.path.isdir(manual_dir):
        _check_same(builder, manual_dir)
    return builder


def has_own(name: str, settings: DataSettings) -> bool:
    """Returns whether a builder of this package is prepared, or what it needs lies under the manual folder."""
    builder = _own(name, settings)
    return builder.is_prepared() or bool(builder.find(manual_dir_of(settings)))


def catalogue_builder(name: str, settings: DataSettings) -> tfds.core.DatasetBuilder:
    """A data set of the TFDS catalogue, downloaded and prepared for reading by index.

    Raises:
      UserError: it cannot be downloaded.
    """
    import tensorflow_datasets as tfds

    builder = _catalogue(name, _data_dir(settings))
    wanted = tfds.core.FileFormat.ARRAY_RECORD
    if builder.is_prepared() and builder.info.file_format != wanted:
        # Prepared by somebody else in another format: leave that alone.
        builder = _catalogue(name, os.path.join(builder.data_dir_root, "array_record"))
    if not builder.is_prepared():
        _check_asked(builder, settings)
        _check_reachable(builder, manual_dir_of(settings))
        _prepare(builder, settings, quiet=False)
        builder = _catalogue(name, builder.data_dir_root)
    return builder


def catalogue_class_names(name: str) -> tuple[str, ...]:
    """The class names of a data set of the TFDS catalogue, in the order of its labels. Downloads nothing."""
    builder = _catalogue(name, None)
    return tuple(builder.info.features[feature_of(builder, "ClassLabel")].names)


def manual_dir_of(settings: DataSettings) -> str:
    """Returns the folder where the user's own copies are looked for: the setting, or the folder that TFDS uses."""
    if settings.manual_dir:
        return os.path.abspath(os.path.expanduser(settings.manual_dir))
    import tensorflow_datasets as tfds

    root = _data_dir(settings) or str(tfds.core.constants.DATA_DIR)
    return os.path.join(os.path.expanduser(root), "downloads", "manual")


def _catalogue(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    """A builder by its code alone. `tfds.builder` would take what its code does not know from files in `data_dir`, and
    import whatever module these name.

    Raises:
      UserError: no such configuration.
    """
    import tensorflow_datasets as tfds

    plain, _, config = name.partition("/")
    kind = tfds.builder_cls(plain)
    if config and not kind.builder_configs:
        raise UserError(f"{plain} has no configurations: leave /{config} out.")
    if config:
        choose(f"configuration of {plain}", config, kind.builder_configs)
    return kind(data_dir=data_dir, config=config or None)


def _own(name: str, settings: DataSettings) -> tfds.core.DatasetBuilder:
    module = importlib.import_module(f"gsda_tf.datasets.{name}.{name}_dataset_builder")
    return module.Builder(data_dir=_data_dir(settings))


def _data_dir(settings: DataSettings) -> str | None:
    return os.path.expanduser(settings.data_dir) if settings.data_dir else None


def _prepare(builder: tfds.core.DatasetBuilder, settings: DataSettings, *, quiet: bool) -> None:
    """Downloads and writes; TFDS writes aside and moves into place."""
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(manual_dir=manual_dir_of(settings), try_download_gcs=False)
    root = os.path.join(str(builder.data_dir_root).removesuffix(os.sep + "array_record"), "downloads")
    spoken = contextlib.redirect_stdout(io.StringIO()) if quiet else contextlib.redirect_stdout(sys.stderr)
    try:
        if quiet:
            tfds.disable_progress_bar()  # ours tells how much is left
        with spoken, disk_errors(f"preparing {builder.name} in {builder.data_dir}"):
            builder.download_and_prepare(download_dir=root, download_config=config, file_format="array_record")
    except UserError:
        raise
    except Exception as error:  # TFDS lets through whatever the network, the disk or an archive raised.
        if builder.is_prepared():
            return  # by another process in the meantime
        if "No space left" in str(error):  # the record writer has an error type of its own
            raise UserError(
                f"No space left on the disk while preparing {builder.name} in {builder.data_dir}: make room and run "
                "the same command again."
            ) from error
        reason = str(error).strip().splitlines()
        otherwise = "It is downloaded on first use: check the network, or prepare it elsewhere and set --data_dir."
        raise UserError(
            f"{builder.name} could not be prepared in {builder.data_dir}: "
            f"{type(error).__name__}: {reason[0][:300] if reason else 'no reason given'}. "
            f"{builder.MANUAL_DOWNLOAD_INSTRUCTIONS or otherwise}"
        ) from error


def _remove_unfinished(data_dir: str) -> None:
    """Removes what a process that was killed while it prepared `data_dir` has left beside it."""
    for path in glob.glob(glob.escape(data_dir) + ".incomplete*"):
        shutil.rmtree(path, ignore_errors=True)


def _check_asked(builder: tfds.core.DatasetBuilder, settings: DataSettings) -> None:
    """Raises UserError if a data set is not to be fetched and prepared unasked."""
    if not settings.download:
        raise UserError(
            f"{builder.name} is not prepared in {builder.data_dir}, and is not fetched unasked, such as where a run's "
            "folder alone names it: say --download if you want it, or --data_dir where it is."
        )


def _check_reachable(builder: tfds.core.DatasetBuilder, manual_dir: str) -> None:
    """TFDS asks a host whose name nobody knows for minutes before it gives up; this asks once.

    Raises:
      UserError: no host of the downloads can be resolved, and nothing was downloaded before.
    """
    listed = builder.url_infos or {}
    hosts = sorted({urllib.parse.urlparse(url).hostname for url in listed} or _HOSTS.get(builder.name, ()))
    if not hosts or urllib.request.getproxies() or _has_downloads(builder, manual_dir):
        return
    for host in hosts:
        with contextlib.suppress(OSError):
            socket.getaddrinfo(host, 443)
            return
    files = ", ".join(info.filename for info in listed.values())
    own = f"put the files as they are ({files}) into {manual_dir}, " if files else ""
    raise UserError(
        f"{builder.name} is downloaded on first use, and {' and '.join(hosts)} cannot be reached: check the network, "
        f"{own}or prepare it elsewhere and set --data_dir."
    )


def _has_downloads(builder: tfds.core.DatasetBuilder, manual_dir: str) -> bool:
    """Returns whether files are there that TFDS may take instead of downloading."""
    names = {info.filename for info in (builder.url_infos or {}).values()}
    if any(os.path.isfile(os.path.join(manual_dir, name)) for name in names):
        return True
    with contextlib.suppress(OSError), os.scandir(os.path.join(builder.data_dir_root, "downloads")) as entries:
        return any(entry.is_file() and not entry.name.endswith(".INFO") for entry in entries)
    return False


def _check_same(builder: tfds.core.DatasetBuilder, manual_dir: str) -> None:
    """Prepared data must be those under the manual folder, if that has any.

    Raises:
      DataError: they are not.
    """
    metadata = builder.info.metadata
    if all(
        os.path.commonpath([path, manual_dir]) == manual_dir and finding.stamp(path) == metadata["stamps"].get(split)
        for split, path in metadata["prepared_from"].items()
    ):
        return  # the very files, and nothing was added, removed or replaced since
    for split, images in builder.find(manual_dir).items():
        if images.fingerprint() != metadata["fingerprints"][split]:
            raise DataError(
                f"{images.path} holds other images than {builder.data_dir} was prepared from "
                f"({metadata['prepared_from'][split]}): remove {builder.data_dir} to prepare it anew, "
                "choose another --data_dir, or leave --manual_dir away to use what is prepared."
            )


def _labels(builder: tfds.core.DatasetBuilder, split: str, source) -> np.ndarray:
    """int32 [n], in the order of the records."""
    counts = (builder.info.metadata or {}).get("class_counts")
    if counts is not None and split in counts:
        labels = np.repeat(np.arange(len(counts[split]), dtype=np.int32), counts[split])
    else:
        labels = _scanned_labels(builder, split, source)
    if len(labels) != len(source):
        raise DataError(
            f"{builder.data_dir} is damaged: {len(source):,} images but {len(labels):,} labels in {split}. Remove the "
            "folder to prepare it anew."
        )
    return labels


def _scanned_labels(builder: tfds.core.DatasetBuilder, split: str, source) -> np.ndarray:
    """The label of every record, read once and kept beside the records."""
    path = os.path.join(str(builder.data_dir), f"labels-{split}.npy")
    labels = np.empty(len(source), np.int32)
    if read_beside(path, labels):
        return labels
    key = feature_of(builder, "ClassLabel")
    with progress(total=len(source), desc=f"{builder.name} {split} labels", unit=" images", leave=False) as bar:
        for start in range(0, len(source), _LABELS_AT_ONCE):
            keys = list(range(start, min(start + _LABELS_AT_ONCE, len(source))))
            labels[keys] = [record[key] for record in source.__getitems__(keys)]
            bar.update(len(keys))
    keep_beside(path, labels)
    return labels


def read_beside(path: str, into: np.ndarray) -> bool:
    """Fills an array from a file that `keep_beside` wrote; False if it is not there, damaged, or of another array."""
    with contextlib.suppress(OSError, EOFError, ValueError, UserError), open_regular(path, into.nbytes + 2**16) as file:
        kept = np.load(file, allow_pickle=False)
        if kept.shape == into.shape and kept.dtype == into.dtype:
            into[...] = kept
            return True
    return False


def keep_beside(path: str, array: np.ndarray) -> None:
    """Keeps what was found in prepared data beside them. A folder that cannot be written costs time only."""
    remove_unfinished(os.path.dirname(path))
    with contextlib.suppress(DiskError), replacing(path) as file:
        np.save(file, array)
