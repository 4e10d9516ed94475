"""Tells what to expect of a run before it is trained: how far apart the domains are, which images are like no others,
and how long it takes."""

import dataclasses
import time
from collections.abc import Iterator, Mapping

import numpy as np
from sklearn.neighbors import NearestNeighbors

from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.classes import listed
from gsda_tf.data.domain import TaskData, evenly
from gsda_tf.errors import shown
from gsda_tf.evaluation.unsupervised import a_distance
from gsda_tf.methods import get_method
from gsda_tf.progress import duration, progress, seconds
from gsda_tf.settings import Settings
from gsda_tf.training.distribution import build_strategy, distribute
from gsda_tf.training.experiment import Experiment
from gsda_tf.training.inference import Sharded
from gsda_tf.training.run import make_runner

_LOOKED_AT, _NEIGHBOURS = 300, 3
_LEAST = 0.01
"""Of the distance of the quartiles, which is nothing where all are alike."""
_STEPS, _SECONDS = 20, 2.0
"""So many steps are tried, or for so long."""


def rehearse(runs: Mapping[str, Settings], data: TaskData, seeds: int = 1) -> list[str]:
    """Tries the backbone on some images of each domain, and a few steps of each run.

    Args:
      runs: settings by the name of the run or candidate, alike but for the method.
      data: of the task, without images that cannot be read.
      seeds: runs of each of several candidates.

    Returns:
      Lines for the user: the distance of the domains, target images that look like no other, and the time.

    Raises:
      UserError: as training would.
    """
    some, whole = {}, sum(len(domain) for _, domain in data.roles)
    for role, domain in data.roles:
        firsts = np.unique(domain.labels, return_index=True)[1]  # an image of each class
        some[role] = domain.chosen(np.union1d(evenly(len(domain), _LOOKED_AT), firsts))
    data, first, paces = dataclasses.replace(data, **some), None, {}
    with progress(total=len(runs), unit=" runs", desc="steps tried", disable=len(runs) == 1) as bar:
        for name, settings in runs.items():
            if get_method(settings.method.method).phases or first is None:
                experiment = Experiment(settings, data, build_strategy(settings.device), beside=first)
                first = first or experiment
                paces[name] = _pace(experiment)
            bar.update()
    return [*_seen(first), *_times(first, whole, runs, paces, seeds)]


def _times(
    first: Experiment, images: int, runs: Mapping[str, Settings], paces: Mapping[str, float], seeds: int
) -> Iterator[str]:
    """Lines about time: of the features of all images, and of the steps."""
    if first.inputs is not first.data:
        each = 0.0
        for part in first.extractor.parts:
            run = Sharded(part.freeze, first.settings.data, first.strategy)
            some = first.data.target.chosen(np.resize(np.arange(len(first.data.target)), run.batch))
            run(some)  # traces
            began = time.perf_counter()
            run(some)
            each += (time.perf_counter() - began) / run.batch
        yield f"Features of all {images:,} images, where they are not kept yet, take about {seconds(each * images)}."
    if len(runs) > 1:
        took = {name: pace * runs[name].optimization.steps for name, pace in paces.items()}
        named = ", ".join(f"{name} {seconds(value)}" for name, value in took.items() if value)
        yield f"Training takes about {seconds(seeds * sum(took.values()))}, evaluations aside: {seeds} x ({named})."
    elif first.method.phases:
        yield duration(first.settings.optimization.steps, 1 / paces[next(iter(runs))])


def _pace(experiment: Experiment) -> float:
    """Seconds a step; 0 of a method that is fitted."""
    settings = experiment.settings
    batches = TrainingBatches(experiment.inputs, settings.data, settings.run.seed, experiment.training_step.images)
    runner = make_runner(experiment, batches)
    if not experiment.method.phases:
        return 0.0
    feed = iter(distribute(experiment.strategy, lambda share: batches.dataset(0, _STEPS, share=share)))
    runner(feed, 1)  # traces
    began = time.perf_counter()
    while runner.steps_done < _STEPS and time.perf_counter() - began < _SECONDS:
        runner(feed, 1)
    return (time.perf_counter() - began) / (runner.steps_done - 1)


def _seen(experiment: Experiment) -> list[str]:
    """What the features of the backbone as it is say of the images."""
    domains = [domain for _, domain in experiment.inputs.roles if len(domain)]
    embed, features = Sharded(experiment.extractor.embed, experiment.settings.data, experiment.strategy), []
    for domain in domains:
        with progress(total=len(domain), unit="image", desc=f"features of {shown(domain.name)}") as bar:
            features += embed(domain, bar.update)
    lines = []
    if len(domains) == 2:
        distance, spread = a_distance(*features)
        counts = " and ".join(f"{len(each):,}" for each in features)
        lines.append(
            f"A-distance of the domains: {distance:.2f} +- {spread:.2f}, by {counts} images, in the features before "
            "training (0: a linear classifier cannot tell them apart, 2: always)."
        )
    for domain, values in zip(domains, features):
        names = [shown(domain.records.name(int(index))) for index in strangers(values)]
        if names:
            looked = f"{len(names)} of {len(domain):,} images that were looked at"
            lines.append(f"{shown(domain.name)}: {looked} are like no other: {listed(names)}")
    return lines


def strangers(features: np.ndarray) -> np.ndarray:
    """Returns the images of a domain that are like no others, the least alike first, int64 [m].

    Their mean cosine similarity to the three nearest lies below the lower quartile by more than three times the
    distance of the quartiles, which Tukey calls far out.

    Args:
      features: float [n, d].
    """
    if len(features) <= _NEIGHBOURS:
        return np.zeros(0, np.int64)
    nearest = 1 - NearestNeighbors(n_neighbors=_NEIGHBOURS, metric="cosine").fit(features).kneighbors()[0].mean(axis=1)
    low, high = np.quantile(nearest, [0.25, 0.75])
    order = np.argsort(nearest)
    return order[nearest[order] < low - 3 * max(high - low, _LEAST)]
