"""A batch is a function of (seed, step): however it is shared out, and wherever a run begins."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gsda_tf.data import images
from gsda_tf.data.batches import Share, TrainingBatches, evaluation_batches
from gsda_tf.data.domain import UNLABELLED, DomainData, TaskData
from gsda_tf.data.records import ArrayRecords
from gsda_tf.settings import DataSettings

_KEYS = ("source_images", "source_labels", "target_images", "target_indices")


def _domain(sizes: list[int], seed: int) -> DomainData:
    """Images that tell their index: it stands in the first two values of each pixel."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.int32)
    images = np.zeros((len(labels), 2, 2, 3), np.uint8)
    images[..., 0], images[..., 1] = (part[:, None, None] for part in np.divmod(np.arange(len(labels)), 256))
    return DomainData("made up", ArrayRecords(images, "made up"), labels)


def _indices(images: np.ndarray) -> np.ndarray:
    pixels = images[:, 0, 0].astype(int)
    return pixels[:, 0] * 256 + pixels[:, 1]


def _read(batches: TrainingBatches, first: int, last: int, share: Share | None = None, **pool) -> list[dict]:
    dataset = batches.dataset(first, last, share=share, **pool)
    return [{key: batch[key].numpy() for key in _KEYS} for batch in dataset]


@st.composite
def _cases(draw):
    """(source sizes, target sizes, replicas, workers' parts of them, per-replica batches, first step, seed)."""
    sizes = draw(st.lists(st.integers(1, 30), min_size=1, max_size=8))
    target = draw(st.lists(st.integers(0, 30), min_size=len(sizes), max_size=len(sizes)).filter(sum))
    parts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    batch = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return sizes, target, parts, batch, draw(st.integers(0, 1000)), draw(st.integers(0, 2**31))


@settings(max_examples=5, deadline=None)  # each builds up to five pipelines
@given(_cases(), st.sampled_from(["none", "standard", "digits"]), st.booleans())
def test_replicas_and_workers_together_see_the_batch_of_one(case, augmentation, labelled):
    sizes, target, parts, batch, first, seed = case
    replicas = sum(parts)
    chosen = DataSettings(
        image_size=2,
        resize_size=3,
        augmentation=augmentation,
        source_batch=batch[0] * replicas,
        target_batch=batch[1] * replicas,
    )
    data = TaskData("case", _domain(sizes, 1), _domain(target, 2), tuple(map(str, range(len(sizes)))))
    batches = TrainingBatches(data, chosen, seed)
    pool = np.where(np.arange(len(data.target)) % 3, data.target.labels, UNLABELLED) if labelled else None
    whole = _read(batches, first, first + 2, pool=pool, since=first)
    begins = np.cumsum([0, *parts])
    shared = [
        _read(batches, first, first + 2, Share(replicas, int(begin), count), pool=pool, since=first)
        for begin, count in zip(begins, parts)
    ]
    for step, expected in enumerate(whole):
        rows = [row for worker, count in zip(shared, parts) for row in worker[step * count : (step + 1) * count]]
        for key in _KEYS:
            np.testing.assert_array_equal(np.concatenate([row[key] for row in rows]), expected[key])
    # Begun later, or read in another process, the second of the two steps is the same.
    later = _read(TrainingBatches(data, chosen, seed), first + 1, first + 2, pool=pool, since=first)
    for key in _KEYS:
        np.testing.assert_array_equal(later[0][key], whole[1][key])


@settings(max_examples=8, deadline=None)
@given(_cases())
def test_images_are_those_of_the_plan_and_bring_their_labels(case):
    sizes, target, _, batch, first, seed = case
    chosen = DataSettings(
        image_size=2, resize_size=2, augmentation="none", source_batch=batch[0], target_batch=batch[1]
    )
    data = TaskData("case", _domain(sizes, 1), _domain(target, 2), tuple(map(str, range(len(sizes)))))
    batches = TrainingBatches(data, chosen, seed)
    source, drawn = batches.plan(first, first + 3)
    read = _read(batches, first, first + 3)
    np.testing.assert_array_equal([_indices(step["source_images"]) for step in read], source)
    np.testing.assert_array_equal([_indices(step["target_images"]) for step in read], drawn)
    np.testing.assert_array_equal([step["target_indices"] for step in read], drawn)
    np.testing.assert_array_equal([step["source_labels"] for step in read], data.source.labels[source])


@settings(max_examples=30, deadline=None)
@given(_cases())
def test_classes_are_balanced_over_steps_and_a_pool_is_kept_to(case):
    sizes, target, _, batch, _, seed = case
    chosen = DataSettings(source_batch=batch[0], target_batch=batch[1])
    data = TaskData("case", _domain(sizes, 1), _domain(target, 2), tuple(map(str, range(len(sizes)))))
    batches = TrainingBatches(data, chosen, seed)
    pool = np.where(np.arange(len(data.target)) % 3, UNLABELLED, data.target.labels)
    confident = np.flatnonzero(pool >= 0)
    source, drawn = batches.plan(0, 7 * len(sizes), pool, since=500)
    counts = np.bincount(data.source.labels[source.ravel()], minlength=len(sizes))
    np.testing.assert_array_equal(counts, 7 * batch[0])
    assert set(drawn.ravel()) <= set(confident)
    counts = np.bincount(pool[drawn.ravel()], minlength=len(sizes))[np.unique(pool[confident])]
    assert counts.max() - counts.min() <= 1


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4))
def test_evaluation_reads_every_image_once_however_it_is_shared_out(size, each, replicas):
    domain = _domain([size], 3)
    chosen = DataSettings(image_size=2, resize_size=2)
    workers = [
        [batch.numpy() for batch in evaluation_batches(domain, chosen, each * replicas, Share(replicas, k, 1))]
        for k in range(replicas)
    ]
    assert len({len(batches) for batches in workers}) == 1
    rows = [part for step in zip(*workers) for part in step]
    read = _indices(np.concatenate(rows))
    np.testing.assert_array_equal(read[:size], np.arange(size))
    assert len(read) == -(-size // (each * replicas)) * each * replicas


@settings(max_examples=3, deadline=None)
@given(st.integers(2, 7), st.integers(2, 7), st.integers(2, 5), st.integers(0, 2))
def test_pixels_in_memory_are_resized_as_one_image_is(height, width, size, margin):
    pixels = np.random.default_rng(height * width).integers(0, 256, [5, height, width, 3], np.uint8)
    domain = DomainData("made up", ArrayRecords(pixels, "made up"), np.arange(5, dtype=np.int32))
    chosen = DataSettings(
        image_size=size, resize_size=size + margin, augmentation="none", source_batch=2, target_batch=3
    )
    geometry = images.ImageGeometry(chosen.image_size, chosen.resize_size)
    single = np.stack([images.seen(image, geometry) for image in pixels])
    seen = np.concatenate([batch.numpy() for batch in evaluation_batches(domain, chosen, 2)])[:5]
    np.testing.assert_array_equal(seen, single)
    data = TaskData("case", domain, domain, tuple("01234"))
    batches = TrainingBatches(data, chosen, 0)
    source, target = batches.plan(0, 2)
    for step, batch in enumerate(batches.dataset(0, 2)):
        np.testing.assert_array_equal(batch["source_images"].numpy(), single[source[step]])
        np.testing.assert_array_equal(batch["target_images"].numpy(), single[target[step]])
