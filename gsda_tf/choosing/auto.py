"""`--method=auto`: trains a pool of candidates on the same data and keeps the one that is chosen without target labels.

Each candidate is an ordinary run in RUN/candidates/NAME/seedK, so that the pool goes on where it was stopped. What they
say of the target lies in their `OUTPUTS`, of which the choice is a function. RUN itself then holds the chosen run.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gsda_tf import methods, recipes
from gsda_tf.choosing.choice import PLAIN, TRUSTED
from gsda_tf.choosing.committee import CANDIDATES, OUTPUTS, committee
from gsda_tf.choosing.criteria import CRITERIA, Candidate
from gsda_tf.choosing.decision import Decision, decide
from gsda_tf.data.domain import TaskData
from gsda_tf.data.npz import read_npz
from gsda_tf.datasets import loading
from gsda_tf.errors import UserError
from gsda_tf.files import replacing, write_atomically
from gsda_tf.progress import timed
from gsda_tf.runs.contents import CHOICE, read_snapshot, read_summary, write_snapshot, write_summary
from gsda_tf.runs.folder import RunFolder, clear
from gsda_tf.settings import REJECT, PoolSettings, Settings, converted
from gsda_tf.tables import Table
from gsda_tf.training.distribution import configure_devices
from gsda_tf.training.evaluator import extremes, looks
from gsda_tf.training.experiment import Experiment
from gsda_tf.training.run import train

NAME = "auto"
POOL = (PLAIN, "gsda", "mcc", "gsda+mcc", "cdan+mcc", TRUSTED)
"""Where none are named. The plainest first, which wins ties; the last on frozen features alone, for which it is
trusted."""
PREDICTIONS = "predictions.csv"
_SHOWN_IMAGES = 12
_SAID = ("probabilities", "source_features", "source_labels", "target_features")
_OPTIONS = {"cdan": {"cdan_random": 1024}}
"""A critic on the whole product of features and classes takes most of the pool's time."""
_CANDIDATE = {"overwrite": False, "export": True, "report": False}
_NOT_COPIED = (".lock", "summary.json", OUTPUTS)


def split(given: Mapping[str, Any]) -> tuple[PoolSettings, dict[str, Any]]:
    """Returns what is of the pool among what the user gave, and the rest, without the method.

    Raises:
      UserError: a value of another kind or out of range.
    """
    known = {field.name: field for field in dataclasses.fields(PoolSettings)}
    mine = {name: given[name] for name in known if given.get(name)}
    rest = {name: value for name, value in given.items() if name not in {*known, "method"}}
    return PoolSettings(**converted(mine, known.values())), rest


def run(
    given: Mapping[str, Any],
    pool: PoolSettings,
    export: Callable[[Experiment, str, dict[str, Any]], str] | None = None,
    report: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Trains the pool, chooses, and leaves the chosen run with its export and report.

    Args:
      given: values by setting name, only those that the user gave, without "method".
      pool: of candidates.
      export: as `training.run.train` takes it.
      report: likewise.

    Returns:
      What summary.json holds: of the chosen run, and "choice", "runner_up", "estimate", "warnings".

    Raises:
      UserError: for anything the user can mend.
      Interrupted: a signal stopped a candidate; the same call goes on with it.
    """
    first = first_runs(given, pool)
    plain = next(iter(first.values()))
    if plain.data.unknown == REJECT:
        raise UserError(f"--unknown=reject: --method={NAME} chooses among known classes; name a method.")
    configure_devices(plain.device)
    with timed("reading"):
        data = loading.load(plain.data)
    workdir = plain.run.workdir or os.path.join("runs", data.name, NAME, f"seed{plain.run.seed}")
    finished = None if plain.run.overwrite else read_summary(workdir)
    if finished and "choice" in finished:
        mine = _settings(given, finished["method"], finished["seed"] - plain.run.seed, workdir=workdir)
        return train(mine, None, report, data)
    with RunFolder(workdir).held(plain.run.overwrite):
        if plain.run.overwrite:
            clear(workdir, (CANDIDATES, CHOICE, PREDICTIONS))
        if os.path.exists(os.path.join(workdir, "settings.json")) and not os.path.isdir(_folder(workdir)):
            raise UserError(f"{workdir} holds a run of one method: choose another --workdir, or --overwrite.")
        plan = [
            (name, _settings(given, name, i, workdir=_folder(workdir, name, f"seed{plain.run.seed + i}"), **_CANDIDATE))
            for i in range(pool.candidate_seeds)
            for name in first
            if i == 0 or methods.get_method(methods.split(name)[0]).phases  # what is fitted needs no second seed
        ]
        beside = _train(plan, pool, data)
        trained: dict[str, list[Settings]] = {}
        for name, settings in plan:
            if _ended(settings):
                trained.setdefault(name, []).append(settings)
        folders = {name: [each.run.workdir for each in runs] for name, runs in trained.items()}
        found = decision(folders, data, plain.model.freeze_backbone)
        _say(found)
        _write(workdir, found, data)
        chosen = trained[found.choice.name][found.seed].run
        _copy(chosen.workdir, workdir)
    # The chosen run goes on in RUN from its last step, so that it ends as any run does.
    number = chosen.seed - plain.run.seed
    settings = _settings(given, found.choice.name, number, workdir=workdir, overwrite=False)
    exported = functools.partial(_exported, export, workdir) if export else None
    summary = train(settings, exported, None, data, beside)
    summary.update(
        choice=found.sentence,
        runner_up=found.choice.runner_up,
        advice=found.advice,
        warnings=found.warnings,
        **{f"estimate/{name}": value for name, value in found.estimate._asdict().items()},
    )
    write_summary(workdir, summary)
    _show(workdir, found, data, settings)
    if report and settings.run.report:  # not before: the page tells the choice, too
        report(workdir)
    return summary


def first_runs(given: Mapping[str, Any], pool: PoolSettings) -> dict[str, Settings]:
    """Settings of the first run of each candidate, by its name; all before any is trained, so that a name that is none
    is told at once.

    Raises:
      UserError: see `run`.
    """
    if given.get("add"):
        raise UserError(f"--add={','.join(given['add'])}: --method={NAME} has its own; name candidates as gsda+mcc.")
    frozen = _settings(given, PLAIN, 0).model.freeze_backbone
    names = pool.candidates or (POOL if frozen else POOL[:-1])
    return {name: _settings(given, name, 0) for name in names}


def _exported(export: Callable, workdir: str, experiment: Experiment, root: str, summary: dict[str, Any]) -> str:
    return export(experiment, root, summary, committee=committee(workdir, experiment, trusted=True))


def decision(folders: Mapping[str, Sequence[str]], data: TaskData, frozen: bool) -> Decision:
    """Returns the choice among runs: a function of what they said, in which there is no label of the target but those
    that its user handed over.

    Args:
      folders: of finished runs, by candidate; the plainest candidate's first seed at the head.
      data: of the task: names of classes, and such labels.
      frozen: whether the backbone stood still.
    """
    candidates, features = [], {}
    for name, each in folders.items():
        outputs = [read_npz(os.path.join(folder, OUTPUTS), _SAID) for folder in each]
        candidates.append(Candidate(name, np.stack([output["probabilities"] for output in outputs])))
        features = features or {key: value for key, value in outputs[0].items() if key != "probabilities"}
    labels = data.target.labels if data.target.handed else None
    return decide(candidates, **features, class_names=data.class_names, labels=labels, frozen=frozen)


def _settings(given: Mapping[str, Any], name: str, number: int, **more: Any) -> Settings:
    """Of run `number` of a candidate, with `more`; another candidate's options are left out."""
    method, add = methods.split(name)
    options = methods.options_of(method, add)
    mine = {key: value for key, value in given.items() if not methods.owners(key) or hasattr(options, key)}
    seed = int(given.get("seed", 0)) + number
    settings = recipes.resolve({**_OPTIONS.get(method, {}), **mine, "method": method, "add": add, "seed": seed, **more})
    if settings.device.strategy in ("mirrored", "multi_worker"):
        raise UserError(
            f"--method={NAME} trains one candidate after the other on one device, but --strategy="
            f"{settings.device.strategy} is given: leave it out, or name a method."
        )
    return settings


def _folder(workdir: str, *names: str) -> str:
    return os.path.join(workdir, CANDIDATES, *names)


def _ended(settings: Settings) -> bool:
    return os.path.exists(os.path.join(settings.run.workdir, "summary.json"))


def _train(plan: Sequence[tuple[str, Settings]], pool: PoolSettings, data: TaskData) -> Experiment | None:
    """Trains what is not finished, the first seed of every candidate before the second of any; returns one of those
    that were trained. What the budget leaves out is said."""
    keep, began, left_out, longest = _Keep(), time.monotonic(), [], 0.0
    for done, (candidate, settings) in enumerate(plan):
        title = f"{candidate}, seed {settings.run.seed}"
        start = time.monotonic()
        late = (start - began + longest) / 60 > pool.budget_minutes > 0
        if late and done and not _ended(settings):
            left_out.append(title)
            continue
        print(f"\nCandidate {done + 1} of {len(plan)}: {title}", flush=True)
        keep.features = not done
        train(settings, keep, data=data, beside=keep.experiment)
        longest = max(longest, time.monotonic() - start)
    if left_out:
        print(f"--budget_minutes={pool.budget_minutes:g} left out: {'; '.join(left_out)}.", flush=True)
    return keep.experiment


class _Keep:
    """Stands where a run's export does: keeps what the choice is made from.

    Attributes:
      features: whether the backbone's features are kept, too: frozen, no candidate has changed them; where it moves,
        they are those of the plainest run, which comes first.
      experiment: the first that was trained.
    """

    features = False
    experiment: Experiment | None = None

    def __call__(self, experiment: Experiment, root: str, summary: Mapping[str, Any]) -> str:
        """Returns the folder of `OUTPUTS`."""
        self.experiment = self.experiment or experiment
        path = os.path.join(os.path.dirname(root), OUTPUTS)
        arrays = {"probabilities": experiment.inference(experiment.inputs.target).probabilities}
        if self.features:
            arrays["source_features"], arrays["target_features"] = experiment.embeddings()
            arrays["source_labels"] = experiment.data.source.labels
        with replacing(path) as file:
            np.savez(file, **arrays)
        return os.path.dirname(path)


def _say(found: Decision) -> None:
    told = found.choice.scores.items()
    rows = [(name, *(f"{scores[key]:.2f}" for key in ("score", *CRITERIA))) for name, scores in told]
    print(f"\n{Table(('candidate', 'score', *CRITERIA.values()), rows).markdown()}\n")
    sure = 100 * found.unanimous.mean()
    print(f"All runs and the untouched features agree on {sure:.0f} % of the images: {PREDICTIONS} marks them.")
    print(f"Chosen: {found.choice.name}", flush=True)


def _write(workdir: str, found: Decision, data: TaskData) -> None:
    """Writes `PREDICTIONS`, the least agreed first, and `CHOICE`."""
    numbers = zip(found.agreement, found.support, found.unanimous)
    said = [(f"{agreed:.4f}", f"{near:.4f}", int(same)) for agreed, near, same in numbers]
    named = [(data.target.records.name(i), data.class_names[found.answers[i]], *said[i]) for i in map(int, found.order)]
    head = ("image", "label", "agreement", "neighbours", "unanimous")
    write_atomically(os.path.join(workdir, PREDICTIONS), Table(head, named).csv())
    content = {
        "chosen": found.choice.name,
        "scores": {
            name: {key: value if np.isfinite(value) else None for key, value in scores.items()}
            for name, scores in found.choice.scores.items()
        },
        "estimate": found.estimate._asdict(),
        "levels": found.levels,
        "disagreements": [
            {
                "image": data.target.records.name(int(i)),
                "agreement": float(found.agreement[i]),
                "answers": {name: data.class_names[said[i]] for name, said in found.said.items()},
            }
            for i in found.order[:_SHOWN_IMAGES]
        ],
        "advice": found.advice,
        "warnings": found.warnings,
    }
    write_atomically(os.path.join(workdir, CHOICE), json.dumps(content, indent=2) + "\n")


def _show(workdir: str, found: Decision, data: TaskData, settings: Settings) -> None:
    """Lets the page show the images in the order of their agreement."""
    kept = read_snapshot(workdir)
    if not kept:
        return
    kept["target_agreement"] = found.agreement
    if not data.target.labelled:
        sure, unsure = extremes((found.agreement + found.support) / 2, found.answers)
        for kind, indices in (("sure", sure), ("unsure", unsure)):
            kept.update(looks(data.target, kind, indices, settings.data))
    write_snapshot(workdir, kept)


def _copy(chosen: str, workdir: str) -> None:
    """Copies a run, but for its summary, to where it goes on."""
    clear(workdir)
    shutil.copytree(chosen, workdir, ignore=shutil.ignore_patterns(*_NOT_COPIED), dirs_exist_ok=True)
