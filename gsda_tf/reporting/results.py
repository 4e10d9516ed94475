"""What a sweep leaves: results.csv, results.md and results.html."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import math
import os
import urllib.parse
from collections.abc import Sequence
from typing import Any

from scipy import stats

from gsda_tf.datasets import get_benchmark
from gsda_tf.errors import COMMANDS
from gsda_tf.evaluation.selection import CRITERIA, SCORES
from gsda_tf.files import cell, write_atomically
from gsda_tf.reporting import figures, tables
from gsda_tf.reporting.page import page
from gsda_tf.reporting.sections import picture
from gsda_tf.reporting.selections import ORACLE, Selections, compare_selections
from gsda_tf.runs.contents import read_metrics
from gsda_tf.sweeps import significance
from gsda_tf.sweeps.sweep import Failure, Run

_COLUMNS = (
    "task", "method", "seed", "status", "score", "accuracy/source", "accuracy/target", "accuracy/target_mean_class",
    *(f"score/{name}" for name in ("entropy", "im", "snd", "a_distance")),
    "steps", "images_per_second", "wall_seconds", "weights_sha256", "workdir",
)  # fmt: skip
_TEXT_COLUMNS = {"method", "against", "run", "reason", "log"}
_FEW = 3
_BOLD = "Bold: the best of a column, where the 95 % interval of its difference to the next excludes 0."
_CAVEAT = (
    "Bold: the interval excludes 0. "
    "Pairs are runs of the same task and seed. Runs of one task share their images, so the tests are optimistic about "
    "other tasks: read them together with wins and losses."
)


def write_results(benchmark: str | None, runs: Sequence[Run], failures: Sequence[Failure], out: str) -> list[str]:
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
    summaries = {run: s and {**s, "method": run.method, "task": run.task} for run, s in found.items()}
    failed = {failure.run for failure in failures}
    status = {r: "done" if s else "failed" if r in failed else "missing" for r, s in summaries.items()}
    known = [s for s in summaries.values() if s]
    tasks = list(dict.fromkeys(run.task.split("/")[1] for run in runs))
    methods = list(dict.fromkeys(run.method for run in runs))
    of_benchmark = benchmark and get_benchmark(benchmark)
    table = tables.results_table(benchmark or "", tasks, of_benchmark.tasks if benchmark else tasks, methods, known)
    comparisons = significance.compare_all(methods, _values(methods, known))
    chosen = _selections(methods, {run: s for run, s in summaries.items() if s})
    title, note = of_benchmark.title if benchmark else runs[0].task, _note(runs)
    counted = f"{len(known)} of {len(runs)} runs finished" + (f", {len(failed)} failed" if failed else "")

    paths = [os.path.join(out, f"results.{kind}") for kind in ("csv", "md", "html")]
    write_atomically(paths[0], _csv(summaries, status))
    unit = "Percent of target images" if not any(s.get("score") == "mean_class_accuracy" for s in known) else "Percent"
    caption = f"{unit}, mean ± standard deviation over seeds; last step, no target label used. {counted}. {_BOLD}"
    if known and table.seeds < _FEW:
        few = "One seed says" if table.seeds == 1 else "Two seeds say"
        caption += f" {few} little: differences of a few points mean nothing. Three or more are needed, --seeds=0,1,2."
    sections = []
    if comparisons:
        sections.append(("Differences between methods", _CAVEAT, *_significance_rows(comparisons)))
    if chosen:
        sections.append(("Which checkpoint, without target labels", _SELECTION_NOTE, *_selection_rows(chosen)))
    settings = _between_settings(methods, {run: s for run, s in summaries.items() if s})
    if settings:
        sections.append(("Which setting, without target labels", _SETTINGS_NOTE, *_selection_rows(settings)))
    if failures:
        rows = [(f.run.title, f.reason, f.log) for f in failures]
        sections.append(("Failed", "The rest of the sweep is not affected.", ("run", "reason", "log"), rows))
    parts = [f"# {title}", caption, tables.to_markdown(table, note)]
    parts += [f"## {name}\n\n{text}\n\n{_markdown(head, rows)}" for name, text, head, rows in sections]
    write_atomically(paths[1], "\n\n".join(part.rstrip() for part in parts) + "\n")
    body = f"<p>{caption}</p>{tables.to_html(table, note)}{_picture(table)}"
    body += "".join(f"<h2>{name}</h2><p>{text}</p>{_html(head, rows)}" for name, text, head, rows in sections)
    body += _run_links(summaries, status, out)
    write_atomically(paths[2], page(title, body))
    return paths


def _picture(table: tables.Table) -> str:
    """Of the means in the last column: the average, or the only one."""
    rows = []
    for row in reversed(table.measured):
        cell = row.cells[-1]
        if cell is not None:
            known = cell.deviation is not None and cell.seeds >= _FEW
            reach = stats.t.ppf(0.975, cell.seeds - 1) * cell.deviation / math.sqrt(cell.seeds) if known else None
            rows.insert(0, (row.title, cell.mean, reach))
    if len(rows) < 2:
        return ""
    bars = any(reach is not None for *_, reach in rows)
    caption = "Bars: 95 % interval of the mean over seeds. " if bars else "Fewer than three seeds: no intervals. "
    caption += (
        "Methods share seeds and tasks, so differences are surer than overlapping bars suggest: see the next table."
    )
    made = figures.means(table.columns[-1], rows)
    return picture([figures.png(made)], caption, [round(125 * made.get_figwidth())])


def _run_links(summaries: dict[Run, dict[str, Any] | None], status: dict[Run, str], out: str) -> str:
    """Every run, with its page where it has one."""
    rows = []
    for run, summary in summaries.items():
        path, made = os.path.join(run.workdir, "report.html"), summary and tables.score_of(summary)
        told = html.escape(run.title)
        if os.path.exists(path):
            link = urllib.parse.quote(os.path.relpath(path, out).replace(os.sep, "/"))
            told = f'<a href="{link}">{told}</a>'
        score = f"{100 * made:.1f}" if made is not None else "–"
        rows.append(f"<tr><td class='text'>{told}</td><td class='text'>{status[run]}</td><td>{score}</td></tr>")
    head = "<thead><tr><th class='text'>run</th><th class='text'>state</th><th>percent</th></tr></thead>"
    table = f"<table class='results'>{head}<tbody>{''.join(rows)}</tbody></table>"
    lead = f"<p>A run without a link has no page yet: {COMMANDS}.report --workdir=RUN makes it.</p>"
    return f"<details><summary><h2>Runs</h2></summary>{lead}{table}</details>"


def _note(runs: Sequence[Run]) -> str:
    """How the measured rows came about, as far as all runs have it in common."""
    model, steps = runs[0].settings.model, {run.settings.optimization.steps for run in runs}
    frozen = ", frozen" if model.freeze_backbone else f", trained from {model.train_from}" if model.train_from else ""
    shown = ", ".join(map(str, sorted(steps)))
    return f"{os.path.basename(model.extractor)}{frozen}, {runs[0].settings.data.image_size} px, {shown} steps"


def _csv(summaries: dict[Run, dict[str, Any] | None], status: dict[Run, str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n", extrasaction="ignore", restval="")
    writer.writeheader()
    for run, summary in summaries.items():
        settings = run.settings
        row = {"task": run.task, "method": run.method, "seed": settings.run.seed}
        values = {**(summary or {}), **row, "status": status[run], "workdir": run.workdir}
        writer.writerow({name: cell(value) for name, value in values.items()})
    return text.getvalue()


def _values(methods: Sequence[str], summaries: Sequence[dict]) -> dict[str, dict[significance.Unit, float]]:
    """Percent by method and (task, seed)."""
    values: dict[str, dict] = {method: {} for method in methods}
    for summary in summaries:
        if tables.score_of(summary) is not None:
            values[summary["method"]][(summary["task"], summary["seed"])] = 100 * tables.score_of(summary)
    return values


def _significance_rows(comparisons: Sequence[significance.Comparison]):
    def number(value: float, form: str) -> str:
        return "–" if math.isnan(value) else format(value, form).replace("-0.00", "0.00").replace("+0.00", "0.00")

    head = (
        "method",
        "against",
        "pairs",
        "difference",
        "95 % interval",
        "wins / losses",
        "p (t)",
        "p (Holm)",
        "p (Wilcoxon)",
    )
    rows = [
        (
            tables.row_title(c.first),
            tables.row_title(c.second),
            str(c.pairs),
            f"**{number(c.difference, '+.2f')}**" if c.low > 0 or c.high < 0 else number(c.difference, "+.2f"),
            "–" if math.isnan(c.low) else f"{c.low:+.2f} to {c.high:+.2f}",
            f"{c.wins} / {c.losses}",
            *(number(p, ".3f" if math.isnan(p) or p >= 0.001 else ".0e") for p in (c.p_t, c.p_holm, c.p_wilcoxon)),
        )
        for c in comparisons
    ]
    return head, rows


_SELECTION_NOTE = (
    "Mean target accuracy at the evaluation that each criterion picks: the last, the one with least target entropy, "
    "most information (IM), densest neighbourhoods (SND), best source accuracy, least A-distance. The oracle picks by "
    "target labels: it is what the best choice would have given, not a result. In brackets, the largest loss against "
    "it in one run."
)


_SHORT = {"im": "IM", "snd": "SND", "accuracy/source": "source acc.", "a_distance": "A-distance", ORACLE: "(oracle)"}


def _selections(methods: Sequence[str], summaries: dict[Run, dict]) -> dict[str, Selections]:
    """By title of the method; all runs together last."""

    def read(chosen):
        return [(read_metrics(run.workdir), SCORES[s.get("score", "accuracy")]) for run, s in chosen]

    found = {}
    for method in methods:
        mine = read([(run, s) for run, s in summaries.items() if s["method"] == method])
        found[tables.row_title(method)] = compare_selections(mine)
    found["all runs"] = compare_selections(read(summaries.items()))
    return {title: selections for title, selections in found.items() if selections}


_SETTINGS_NOTE = (
    "Mean target accuracy with the values of the grid that each criterion picks for each task and seed, by its score "
    "at the last step. Target labels only score the picks; the oracle picks by them, so it is no result. A criterion "
    "is worth its distance to the oracle, and to one fixed value in the table above."
)


def _between_settings(rows: Sequence[str], summaries: dict[Run, dict]) -> dict[str, Selections]:
    """By title of the method: what criteria that see no target label choose among the variants of a grid."""
    variants: dict[str, dict] = {}
    for run, summary in summaries.items():
        if run.variant:
            choices = variants.setdefault(run.method.split(" ")[0], {}).setdefault(
                (run.task, run.settings.run.seed), []
            )
            choices.append({**summary, "step": rows.index(run.method) + 1})
    found = {}
    for method, by_run in variants.items():
        most = max(map(len, by_run.values()))
        whole = [c for c in by_run.values() if len(c) == most > 1]  # with a value missing, the choice is another
        picked = compare_selections([(c, SCORES[c[0].get("score", "accuracy")]) for c in whole])
        if picked:
            found[tables.row_title(method)] = dataclasses.replace(
                picked, accuracy={name: value for name, value in picked.accuracy.items() if name != "last"}
            )
    return found


def _selection_rows(chosen: dict[str, Selections]):
    names = [name for name in (*CRITERIA, ORACLE) if all(name in s.accuracy for s in chosen.values())]
    titles = [_SHORT.get(name, name) for name in names]
    rows = []
    for title, found in chosen.items():
        cells = [
            f"{100 * found.accuracy[name]:.1f}"
            + (f" (−{100 * found.worst[name]:.1f})" if name != ORACLE and found.worst[name] >= 0.0005 else "")
            for name in names
        ]
        rows.append((title, str(found.runs), *cells))
    return ("method", "runs", *titles), rows


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        classes = [" class='text'" if name in _TEXT_COLUMNS else "" for name in head]
        return "<tr>" + "".join(f"<{tag}{c}>{_bold(cell)}</{tag}>" for c, cell in zip(classes, cells)) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table class='results'><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table>"


def _bold(cell: str) -> str:
    inner = cell.removeprefix("**").removesuffix("**")
    return html.escape(cell) if inner == cell else f"<b>{html.escape(inner)}</b>"
