"""The files that a sweep leaves: results.csv, results.md and results.html."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from gsda_tf.choosing import criteria
from gsda_tf.datasets import get_benchmark
from gsda_tf.errors import UserError
from gsda_tf.evaluation.selection import CRITERIA, SCORES
from gsda_tf.files import write_atomically
from gsda_tf.reporting import figures
from gsda_tf.reporting.page import Panel, panel, percent, render
from gsda_tf.reporting.results_table import ResultsTable, results_table, row_title, score_of
from gsda_tf.reporting.runs import load_run
from gsda_tf.reporting.selections import ORACLE, Selections, compare_selections
from gsda_tf.runs.contents import read_metrics
from gsda_tf.sweeps import significance
from gsda_tf.sweeps.sweep import Failure
from gsda_tf.sweeps.trials import Trial
from gsda_tf.tables import MISSING, Cell, Table, markdown_text

_COLUMNS = (
    "task", "method", "seed", "status", "score", "accuracy/source", "accuracy/target", "accuracy/target_mean_class",
    *(f"score/{name}" for name in ("entropy", "im", "snd", "a_distance")),
    "steps", "images_per_second", "wall_seconds", "weights_sha256", "workdir",
)  # fmt: skip
_FEW = 3
_BOLD = "Bold: the best of a column, where the 95 % interval of its difference to the next excludes 0."
_CAVEAT = (
    "Bold: the interval excludes 0. "
    "Pairs are runs of the same task and seed. Runs of one task share their images, so the tests are optimistic about "
    "other tasks: read them together with wins and losses."
)
_SELECTION_NOTE = (
    "Mean target accuracy at the evaluation that each criterion picks: the last, the one with least target entropy, "
    "most information (IM), densest neighbourhoods (SND), best source accuracy, least A-distance. The oracle picks by "
    "target labels: it is what the best choice would have given, not a result. In brackets, the largest loss against "
    "it in one run."
)
_SETTINGS_NOTE = (
    "Mean target accuracy with the values of the grid that each criterion picks for each task and seed, by its score "
    "at the last step. Target labels only score the picks; the oracle picks by them, so it is no result. A criterion "
    "is worth its distance to the oracle, and to one fixed value in the table above."
)
_UNLABELLED_NOTE = (
    "The target has no labels, so no row can be said to be right. Means over runs: on which share of the images a "
    "method says the same as source only, as the other methods, and as itself with another seed; then scores that need "
    "no label, each of which can be fooled: entropy is least where everything is called one class, IM rewards a model "
    "that is sure of wrong classes, SND is highest where all answers are alike, the A-distance is least where the "
    "features hold nothing."
)
_SHORT = {"im": "IM", "snd": "SND", "accuracy/source": "source acc.", "a_distance": "A-distance", ORACLE: "(oracle)"}

Summaries = Mapping[Trial, "dict[str, Any]"]


@dataclasses.dataclass(frozen=True)
class Section:
    """A table with its heading and what is to be known of it; `folded` is None of what is never folded."""

    title: str
    text: str
    table: Table
    folded: bool | None = None


def write_results(benchmark: str | None, runs: Sequence[Trial], failures: Sequence[Failure], out: str) -> list[str]:
    """Writes what is known so far.

    Args:
      benchmark: its name; None for data of the user's own.
      runs: of the sweep, finished or not.
      failures: of this call.
      out: folder of the sweep.

    Returns:
      Paths of results.csv, results.md and results.html.
    """
    found = {run: run.summary() for run in runs}
    known = {
        run: {**s, "method": run.method, "task": run.task, "seed": run.settings.run.seed}
        for run, s in found.items()
        if s is not None
    }
    failed = {failure.run for failure in failures}
    status = {run: "done" if run in known else "failed" if run in failed else "missing" for run in runs}
    tasks = list(dict.fromkeys(run.task.split("/")[1] for run in runs))
    rows = list(dict.fromkeys(run.method for run in runs))
    all_tasks = get_benchmark(benchmark).tasks if benchmark else tasks
    table = results_table(benchmark or "", tasks, all_tasks, rows, list(known.values()))
    caption = _caption(table, runs, known, failed)
    shown = _unlabelled(rows, known) if _no_labels(known) else table.shown()
    main, sections = _main(table, shown, runs), _sections(rows, known, failures)
    title = get_benchmark(benchmark).title if benchmark else runs[0].task
    parts = [f"# {markdown_text(title)}", caption]
    parts += [f"{markdown_text(each.title)}\n\n{each.table.markdown()}" for each in main]
    parts += [f"## {each.title}\n\n{each.text}\n\n{each.table.markdown()}" for each in sections]
    means, means_caption = _means(table)
    page = {"main": main, "sections": sections, "runs": _runs(runs, known, status, out), "caption": caption}
    texts = {
        "csv": _csv(known, status).csv(),
        "md": "\n\n".join(parts) + "\n",
        "html": render("sweep.html", title=title, means=means, means_caption=means_caption, **page),
    }
    paths = [os.path.join(out, f"results.{kind}") for kind in texts]
    for path, text in zip(paths, texts.values()):
        write_atomically(path, text)
    return paths


def _caption(table: ResultsTable, runs: Sequence[Trial], known: Summaries, failed: set[Trial]) -> str:
    by_class = any(s.get("score") == "mean_class_accuracy" for s in known.values())
    counted = f"{len(known)} of {len(runs)} runs finished" + (f", {len(failed)} failed" if failed else "")
    if _no_labels(known):
        return f"{counted}. {_UNLABELLED_NOTE}"
    caption = (
        f"{'Percent' if by_class else 'Percent of target images'}, mean ± standard deviation over seeds; last step, no "
        f"target label used. {counted}. {_BOLD}"
    )
    if known and table.seeds and table.seeds < _FEW:
        few = "One seed says" if table.seeds == 1 else "Two seeds say"
        caption += f" {few} little: differences of a few points mean nothing. Three or more are needed, --seeds=0,1,2."
    return caption


def _no_labels(known: Summaries) -> bool:
    return bool(known) and all(score_of(summary) is None for summary in known.values())


def _main(table: ResultsTable, shown: Table, runs: Sequence[Trial]) -> list[Section]:
    """Returns the measured rows, with what all runs have in common, and the published ones."""
    model, steps = runs[0].settings.model, sorted({run.settings.optimization.steps for run in runs})
    frozen = ", frozen" if model.freeze_backbone else f", trained from {model.train_from}" if model.train_from else ""
    pixels, said = runs[0].settings.data.image_size, ", ".join(map(str, steps))
    made = f"Measured here: {os.path.basename(model.extractor)}{frozen}, {pixels} px, {said} steps"
    sections = [Section(made, "", shown)]
    if table.published:
        said = "Published by others, not measured here; ResNet-50 unless a row says otherwise"
        sections.append(Section(said, "", table.shown_others(), len(table.published) > len(table.measured)))
    return sections


def _sections(rows: Sequence[str], known: Summaries, failures: Sequence[Failure]) -> list[Section]:
    made = []
    comparisons = significance.compare_all(rows, _values(rows, known))
    if comparisons:
        made.append(Section("Differences between methods", _CAVEAT, _differences(comparisons)))
    if chosen := _selections(rows, known):
        made.append(Section("Which checkpoint, without target labels", _SELECTION_NOTE, _selected(chosen)))
    if settings := _between_settings(rows, known):
        made.append(Section("Which setting, without target labels", _SETTINGS_NOTE, _selected(settings)))
    if failures:
        table = Table(("run", "reason", "log"), [(f.run.title, f.reason, f.log) for f in failures], (0, 1, 2))
        made.append(Section("Failed", "The rest of the sweep is not affected.", table))
    return made


def _means(table: ResultsTable) -> tuple[list[Panel], str]:
    """Draws the means in the last column, the average or the only one, and says what is drawn."""
    rows = []
    for row in table.measured:
        mean = row.cells[-1]
        if mean is not None:
            known = mean.deviation is not None and mean.seeds >= _FEW
            reach = stats.t.ppf(0.975, mean.seeds - 1) * mean.deviation / math.sqrt(mean.seeds) if known else None
            rows.append((row.title, mean.mean, reach))
    if len(rows) < 2:
        return [], ""
    bars = any(reach is not None for *_, reach in rows)
    caption = "Bars: 95 % interval of the mean over seeds. " if bars else "Fewer than three seeds: no intervals. "
    caption += (
        "Methods share seeds and tasks, so differences are surer than overlapping bars suggest: see the next table."
    )
    return [panel(figures.means(table.columns[-1], rows))], caption


def _runs(runs: Sequence[Trial], known: Summaries, status: Mapping[Trial, str], out: str) -> Table:
    """Lists every run, with its page where it has one."""
    rows = []
    for run in runs:
        path, score = os.path.join(run.workdir, "report.html"), score_of(known[run]) if run in known else None
        link = ""
        if os.path.exists(path):
            link = urllib.parse.quote(os.path.relpath(path, out).replace(os.sep, "/"))
        rows.append((Cell(run.title, link=link), status[run], MISSING if score is None else f"{100 * score:.1f}"))
    return Table(("run", "state", "percent"), rows, (0, 1))


def _csv(known: Summaries, status: Mapping[Trial, str]) -> Table:
    rows = []
    for run in status:
        own = {"task": run.task, "method": run.method, "seed": run.settings.run.seed}
        values = {**known.get(run, {}), **own, "status": status[run], "workdir": run.workdir}
        rows.append([values.get(name, "") for name in _COLUMNS])
    return Table(_COLUMNS, rows)


def _values(rows: Sequence[str], known: Summaries) -> dict[str, dict[significance.Unit, float]]:
    """Returns percent by row and (task, seed)."""
    values: dict[str, dict] = {row: {} for row in rows}
    for summary in known.values():
        if score_of(summary) is not None:
            values[summary["method"]][(summary["task"], summary["seed"])] = 100 * score_of(summary)
    return values


def _differences(comparisons: Sequence[significance.Comparison]) -> Table:
    def number(value: float, form: str) -> str:
        return MISSING if math.isnan(value) else format(value, form).replace("-0.00", "0.00").replace("+0.00", "0.00")

    rows = [
        (
            row_title(c.first),
            row_title(c.second),
            c.pairs,
            Cell(number(c.difference, "+.2f"), strong=c.low > 0 or c.high < 0),
            MISSING if math.isnan(c.low) else f"{c.low:+.2f} to {c.high:+.2f}",
            f"{c.wins} / {c.losses}",
            *(number(p, ".3f" if math.isnan(p) or p >= 0.001 else ".0e") for p in (c.p_t, c.p_holm, c.p_wilcoxon)),
        )
        for c in comparisons
    ]
    head = ("method", "against", "pairs", "difference", "95 % interval", "wins / losses")
    return Table((*head, "p (t)", "p (Holm)", "p (Wilcoxon)"), rows, (0, 1))


def _selections(rows: Sequence[str], known: Summaries) -> dict[str, Selections]:
    """Compares criteria for the checkpoint, by title of the row; all runs together last."""
    read = {run: (read_metrics(run.workdir), SCORES[s.get("score", "accuracy")]) for run, s in known.items()}
    found = {row_title(row): compare_selections([r for run, r in read.items() if run.method == row]) for row in rows}
    found["all runs"] = compare_selections(list(read.values()))
    return {title: selections for title, selections in found.items() if selections}


def _between_settings(rows: Sequence[str], known: Summaries) -> dict[str, Selections]:
    """Compares what criteria that see no target label choose among the variants of a grid, by title of the method."""
    variants: dict[str, dict] = {}
    for run, summary in known.items():
        if run.variant:
            by_run = variants.setdefault(run.method.split(" ")[0], {})
            choices = by_run.setdefault((run.task, run.settings.run.seed), [])
            choices.append({**summary, "step": rows.index(run.method) + 1})
    found = {}
    for method, by_run in variants.items():
        most = max(map(len, by_run.values()))
        whole = [c for c in by_run.values() if len(c) == most > 1]  # with a value missing, the choice is another
        picked = compare_selections([(c, SCORES[c[0].get("score", "accuracy")]) for c in whole])
        if picked:
            accuracy = {name: value for name, value in picked.accuracy.items() if name != "last"}
            found[row_title(method)] = dataclasses.replace(picked, accuracy=accuracy)
    return found


def _selected(chosen: Mapping[str, Selections]) -> Table:
    names = [name for name in (*CRITERIA, ORACLE) if all(name in s.accuracy for s in chosen.values())]
    rows = []
    for title, found in chosen.items():
        lost = {name: 100 * found.worst[name] for name in names if name != ORACLE and found.worst[name] >= 0.0005}
        cells = [
            Cell(f"{100 * found.accuracy[name]:.1f}", f"(−{lost[name]:.1f})" if name in lost else "") for name in names
        ]
        rows.append((title, found.runs, *cells))
    return Table(("method", "runs", *(_SHORT.get(name, name) for name in names)), rows)


def _unlabelled(rows: Sequence[str], known: Summaries) -> Table:
    """Compares methods by how far their answers agree, and by their scores: means over the runs of each row."""
    keys = ("accuracy/source", *(f"score/{name}" for name in ("entropy", "im", "snd", "a_distance")))
    agreed, made = _agreements(known), []
    for row in rows:
        mine = [run for run in known if run.method == row]
        columns = [*zip(*(agreed[run] for run in mine if run in agreed))] or [()] * 3
        columns += [[known[run].get(key) for run in mine] for key in keys]
        means = [
            np.mean([v for v in column if v is not None and not math.isnan(v)] or [math.nan]) for column in columns
        ]
        scores = [MISSING if math.isnan(mean) else f"{mean:.3f}" for mean in means[4:]]
        made.append((row_title(row), len(mine), *map(percent, means[:4]), *scores))
    agreements = ("as source only", "as other methods", "its seeds agree")
    head = ("method", "runs", *agreements, "accuracy/source, trained on", "entropy", "IM", "SND", "A-distance")
    return Table(head, made)


def _agreements(known: Summaries) -> dict[Trial, tuple[float, ...]]:
    """Returns on which share of the target each run says the same as source only, other methods, its other seeds."""
    found: dict[Trial, tuple[float, ...]] = {}
    for task in dict.fromkeys(run.task for run in known):
        said = {r: _predictions(r.workdir, known[r]["weights_sha256"]) for r in known if r.task == task}
        said = {run: answers for run, answers in said.items() if answers is not None}
        if len({len(answers) for answers in said.values()}) != 1:
            continue  # none was kept, or a stranger's are of other images
        predictions, rows = np.stack(list(said.values())), np.array([run.method for run in said])
        equal, plain = criteria.pairwise_agreement(predictions), rows == "source_only"
        as_plain = equal[:, plain].mean(axis=1) if plain.any() else np.full(len(rows), np.nan)
        others, seeds = (
            f(predictions, rows) for f in (criteria.agreement_with_others, criteria.agreement_between_seeds)
        )
        found.update(zip(said, zip(as_plain, others, seeds)))
    return found


@functools.lru_cache(maxsize=1024)
def _predictions(workdir: str, weights: str) -> np.ndarray | None:
    """Returns the answers of a finished run with these weights; None where they were not kept, or are damaged."""
    with contextlib.suppress(UserError):
        run = load_run(workdir)
        return None if run.probabilities is None else run.predictions
    return None
