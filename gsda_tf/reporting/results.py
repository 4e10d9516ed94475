"""The files that a sweep leaves: results.csv, results.md and results.html. Their words stand in `templates`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import os
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gsda_tf.choosing.agreement import agreement, estimate
from gsda_tf.choosing.choice import PLAIN
from gsda_tf.choosing.criteria import CRITERIA, Candidate, agreements
from gsda_tf.choosing.missing import class_shares, warnings
from gsda_tf.datasets import get_benchmark
from gsda_tf.errors import COMMANDS, UserError
from gsda_tf.evaluation import selection
from gsda_tf.files import write_atomically
from gsda_tf.reporting.page import percent, render
from gsda_tf.reporting.results_table import results_tables, row_title, score_of
from gsda_tf.reporting.runs import LoggedRun, load_run
from gsda_tf.runs.contents import as_written
from gsda_tf.sweeps import significance
from gsda_tf.sweeps.sweep import Failure
from gsda_tf.sweeps.trials import Trial
from gsda_tf.tables import MISSING, Cell, Table

_COLUMNS = (
    "task", "method", "seed", "status", "score", "accuracy/source", *selection.SCORES.values(), "score/a_distance",
    "steps", "images_per_second", "wall_seconds", "weights_sha256", "workdir",
)  # fmt: skip
_SHOWN = 12
_KEPT = ("target_probabilities", "source_counts")
_AGREEMENTS = {"plain": "as source only", "crowd": CRITERIA["crowd"], "seeds": CRITERIA["seeds"]}

Summaries = Mapping[Trial, "dict[str, Any]"]


def write_results(
    benchmark: str | None,
    runs: Sequence[Trial],
    failures: Sequence[Failure],
    out: str,
    name_of: Callable[[int], str] = "image {}".format,
) -> list[str]:
    """Writes what is known so far.

    Args:
      benchmark: its name; None for data of the user's own.
      runs: of the sweep, finished or not.
      failures: of this call.
      out: folder of the sweep.
      name_of: of a target image without a label, by its number.

    Returns:
      Paths of results.csv, results.md and results.html.
    """
    failed, known, written, listed = {failure.run for failure in failures}, {}, [], []
    for run in runs:
        summary, page = run.summary(), os.path.join(run.workdir, "report.html")
        status = "done" if summary is not None else "failed" if run in failed else "missing"
        told = {**(summary or {}), "task": run.task, "method": run.method, "seed": run.settings.run.seed}
        if summary is not None:
            known[run] = told
        score = score_of(told)
        link = urllib.parse.quote(os.path.relpath(page, out).replace(os.sep, "/")) if os.path.exists(page) else ""
        listed.append((Cell(run.title, link=link), status, MISSING if score is None else f"{100 * score:.1f}"))
        told.update(status=status, workdir=run.workdir)
        written.append([told.get(name, "") for name in _COLUMNS])
    tasks = list(dict.fromkeys(run.task.split("/")[1] for run in runs))
    rows = list(dict.fromkeys(run.method for run in runs))
    measured, published = results_tables(benchmark or "", tasks, rows, list(known.values()))
    unlabelled = bool(known) and all(score_of(summary) is None for summary in known.values())
    sentences, told = _together(known, name_of) if unlabelled else ([], [])
    failed_rows = [(failure.run.title, failure.reason, failure.log) for failure in failures]
    page = {
        "title": get_benchmark(benchmark).title if benchmark else runs[0].task,
        "status": [status for _, status, _ in listed],
        "by_class": any(s.get("score") == "mean_class_accuracy" for s in known.values()),
        "unlabelled": unlabelled,
        "seeds": len({summary["seed"] for summary in known.values()}),
        "settings": runs[0].settings,
        "steps": sorted({run.settings.optimization.steps for run in runs}),
        "measured": _unlabelled(rows, known) if unlabelled else measured,
        "published": published,
        "sentences": sentences,
        "sections": [
            *told,
            ("Differences between methods", "differences", _differences(rows, known)),
            ("Failed", "failed", Table(("run", "reason", "log"), failed_rows, (0, 1, 2))),
        ],
        "runs": Table(("run", "state", "percent"), listed, (0, 1)),
    }
    texts = {
        "csv": Table(_COLUMNS, written).csv(),
        "md": render("sweep.md", **page),
        "html": render("sweep.html", **page),
    }
    paths = [os.path.join(out, f"results.{kind}") for kind in texts]
    for path, text in zip(paths, texts.values()):
        write_atomically(path, text)
    return paths


def _differences(rows: Sequence[str], known: Summaries) -> Table:
    """Compares every pair of rows, the later against the earlier, over the (task, seed) that both have, in percent."""
    values: dict[str, dict] = {row: {} for row in rows}
    for summary in known.values():
        if score_of(summary) is not None:
            values[summary["method"]][summary["task"], summary["seed"]] = 100 * score_of(summary)

    def number(value: float, form: str) -> str:
        return MISSING if math.isnan(value) else format(value, form).replace("-0.00", "0.00").replace("+0.00", "0.00")

    cells = []
    for second, first in itertools.combinations(rows, 2):
        c = significance.compare(values[first], values[second])
        if not c.pairs:
            continue
        interval = MISSING if math.isnan(c.low) else f"{c.low:+.2f} to {c.high:+.2f}"
        difference = Cell(number(c.difference, "+.2f"), strong=c.low > 0 or c.high < 0)
        p = number(c.p, ".0e" if c.p < 0.001 else ".3f")
        named = row_title(first), row_title(second), c.pairs
        cells.append((*named, difference, interval, f"{c.wins} / {c.losses}", p))
    head = ("method", "against", "pairs", "difference", "95 % interval", "wins / losses", "p (t)")
    return Table(head, cells, (0, 1))


def _unlabelled(rows: Sequence[str], known: Summaries) -> Table:
    """Compares methods by how far their answers agree, means over tasks; and how far apart domains are, over runs."""
    agreed = [_agreements(_candidates(_said(known, task))) for task in dict.fromkeys(run.task for run in known)]
    made = []
    for row in rows:
        mine = [summary for run, summary in known.items() if run.method == row]
        shares = [_mean(task.get(row, {}).get(name) for task in agreed) for name in _AGREEMENTS]
        source, far = (_mean(each.get(name) for each in mine) for name in ("accuracy/source", "score/a_distance"))
        shown = MISSING if math.isnan(far) else f"{far:.3f}"
        made.append((row_title(row), len(mine), *map(percent, (*shares, source)), shown))
    scored = " and ".join(sorted({summary.get("source_scored", "training") for summary in known.values()}))
    head = ("method", "runs", *_AGREEMENTS.values(), f"accuracy/source, {scored} images", "A-distance")
    return Table(head, made)


def _mean(values: Iterable[float | None]) -> float:
    """Returns the mean of what is known, NaN of nothing."""
    found = [value for value in values if value is not None and not math.isnan(value)]
    return math.fsum(found) / len(found) if found else math.nan


def _candidates(said: Mapping[Trial, LoggedRun]) -> list[Candidate]:
    """Returns methods on one task, each with the runs of its seeds, as `--method=auto` compares them."""
    runs: dict[str, list[np.ndarray]] = {}
    for run, each in said.items():
        runs.setdefault(run.method, []).append(each.probabilities)
    return [Candidate(row, np.stack(values)) for row, values in runs.items()]


def _agreements(candidates: Sequence[Candidate]) -> dict[str, dict[str, float]]:
    """Computes by candidate what `criteria.agreements` does, and "plain": how often it says the same as source only."""
    found = agreements(candidates) if candidates else {}
    for plain in (candidate for candidate in candidates if candidate.name == PLAIN):
        for candidate in candidates:
            found[candidate.name]["plain"] = float((candidate.predictions[:, None] == plain.predictions).mean())
    return found


def _together(known: Summaries, name_of: Callable[[int], str]) -> tuple[list[str], list]:
    """Returns sentences, and (heading, name of its note in the templates, table) of what the methods together say of
    the first task's images, if there are two at least."""
    told = _said(known, next(iter(known)).task)
    candidates = _candidates(told)
    if len(candidates) < 2:
        return [], []
    first = next(iter(told.values()))
    names, counts = first.class_names, first.evaluation.get("source_counts", np.zeros(len(first.class_names)))
    means = np.stack([candidate.mean for candidate in candidates])
    mean, predictions = means.mean(axis=0), means.argmax(axis=2)
    answers, source = mean.argmax(axis=1), counts / max(counts.sum(), 1)
    agreed = agreement(means, answers)
    found, order = estimate(agreed), np.argsort(agreed, kind="stable")
    sentences = [
        f"The answer of all methods together is probably right on {percent(found.value)} of the images "
        f"({percent(found.low)} to {percent(found.high)}), if they err in different places.",
        *warnings(answers, mean, predictions, source, names),
        f"To use one of them, {COMMANDS}.train --method=auto with the same flags: it chooses, and writes the model.",
    ]
    titles = [row_title(candidate.name) for candidate in candidates]
    listed = [[name_of(int(i)), percent(agreed[i]), *(names[c] for c in predictions[:, i])] for i in order]
    shares = np.stack([source, *(class_shares(each, len(names)) for each in predictions)])
    classes = np.argsort(-np.ptp(shares, axis=0), kind="stable")[:_SHOWN]
    head, words = ("image", "agreement", *titles), (0, *range(2, 2 + len(titles)))
    by_class = [(names[c], *map(percent, shares[:, c])) for c in classes]
    return sentences, [
        ("Images on which the methods disagree most", "apart", Table(head, listed[:_SHOWN], words)),
        ("Images on which they agree most", "alike", Table(head, listed[::-1][:_SHOWN], words)),
        ("Class shares", "shares", Table(("class", "source", *titles), by_class)),
    ]


def _said(known: Summaries, task: str) -> dict[Trial, LoggedRun]:
    """Returns the runs of a task with what they say; none where a stranger's are of other images or classes."""
    found = {run: _loaded(run.workdir, s["weights_sha256"]) for run, s in known.items() if run.task == task}
    found = {run: each for run, each in found.items() if each is not None}
    return found if len({(each.probabilities.shape, each.class_names) for each in found.values()}) == 1 else {}


@functools.lru_cache(maxsize=1024)
def _loaded(workdir: str, weights: str) -> LoggedRun | None:
    """Returns a finished run with these weights, and of what it keeps its answers alone; None where it is damaged."""
    with contextlib.suppress(UserError), as_written(workdir):
        run = load_run(workdir)
        kept = {name: run.evaluation[name] for name in _KEPT if name in run.evaluation}
        return None if run.probabilities is None else dataclasses.replace(run, evaluation=kept)
    return None
