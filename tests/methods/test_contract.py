"""What every method keeps to, whoever wrote it: the contract of `methods.base` and what follows from it."""

import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import methods, recipes
from gsda_tf.data.batches import TrainingBatches
from gsda_tf.data.images import ImageGeometry
from gsda_tf.errors import UserError
from gsda_tf.methods import spl
from gsda_tf.methods.step import Step
from gsda_tf.runs import checkpoints
from gsda_tf.runs.contents import write_settings
from gsda_tf.serving.module import ServingModule
from gsda_tf.settings import Settings
from gsda_tf.training.experiment import restore
from gsda_tf.training.runner import StepRunner
from tests import rounding
from tests.methods.build import SIZE, SMALL, R, batch, experiment, task
from tests.processes import Process
from tests.runs.made import DATA

_MINE = '''
import dataclasses
import tensorflow as tf
from gsda_tf.methods.base import Method
from gsda_tf.settings import setting

class Mine(Method):
    """Equal means of both domains, and a memory of what was said of each image of the target."""
    name, title = "mine", "Mine"

    @dataclasses.dataclass(frozen=True)
    class Options:
        mine_weight: float = setting(0.5, "weight of the distance between the means", minimum=0)

    def __init__(self, problem, options):
        super().__init__(problem, options)
        self.said = tf.Variable(tf.zeros([problem.num_target, problem.num_classes]), trainable=False)
        self.kept = {"said": self.said}

    def step(self, s):
        b = s.forward()
        s.descend(self.loss, b, "extractor", "classifier")
        s.remember(self.said, tf.nn.softmax(b.target_logits))

    def loss(self, b):
        b.log("memory", b.mean(tf.reduce_max(tf.gather(self.said, b.target_indices), axis=1)))
        apart = b.total(tf.reduce_mean(b.source, 0) / b.replicas) - b.total(tf.reduce_mean(b.target, 0) / b.replicas)
        return self.classification(b) + self.options.mine_weight * b.share(tf.reduce_sum(tf.square(apart)))
'''
NAMES = (*methods.method_names(), "mine")
TRAINED = tuple(name for name in NAMES if name == "mine" or methods.get_method(name).phases)
STEPS = 4


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """Builds an experiment; one that is as all others is built once, and has the weights and state of then again."""
    path = tmp_path_factory.mktemp("own") / "mine.py"
    path.write_text(_MINE)
    kept: dict[str, tuple] = {}

    def make(name, data=None, **changes):
        usual = data is None and not changes
        if usual and name in kept:
            built, state = kept[name]
            for key, group in built.state().items():
                for variable, value in zip(group, state[key]):
                    variable.assign(value)
            return built
        if name in ("gsda", "domain_group_class"):
            changes = {"num_groups": (min(2, len(data.class_names) if data else 2),), **changes}
        built = experiment(f"{path}:Mine" if name == "mine" else name, data, **changes)
        if usual:
            kept[name] = built, _state(built)
        return built

    return make


def _train(built, first, last, steps=STEPS):
    """Steps first..last-1 of so many, in the phases that they belong to."""
    method = built.method
    ends = method.phase_ends(steps)
    for i in range(first, last):
        if i in ends:
            method.begin(method.phases[-1])
        phase = method.phases[sum(end <= i for end in ends)]
        metrics = built.training_step(batch(seed=i, images=method.images), tf.constant(i, tf.int64), phase)
        assert all(np.isfinite(v).all() for v in metrics.values())


def _state(built):
    return {name: [v.numpy() for v in group] for name, group in built.state().items()}


def test_every_method_and_term_has_a_name_a_title_and_a_source():
    assert len(NAMES) >= 24
    for name in methods.method_names():
        kind = methods.get_method(name)
        assert kind.name == name and kind.title and kind.__doc__
        assert "(" in sys.modules[kind.__module__].__doc__ or name == "source_only"
    assert {"bnm", "entropy", "mcc"} < set(methods.term_names())


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_moves_what_it_names_and_passes_through_the_extractor_as_declared(name, build, monkeypatch):
    built = build(name)
    named, passes = set(), []
    descend, forward = Step.descend, Step.forward

    def watched(self, loss, b, *names):
        named.update(names)
        descend(self, loss, b, *names)

    monkeypatch.setattr(Step, "descend", watched)
    monkeypatch.setattr(Step, "forward", lambda self, *a, **k: passes.append(1) or forward(self, *a, **k))
    for phase in built.method.phases:
        named.clear(), passes.clear()
        before = {name: [v.numpy() for v in group] for name, group in built.networks().items()}
        built.training_step(batch(images=built.method.images), tf.constant(3, tf.int64), phase)
        moved = {
            name
            for name, group in built.networks().items()
            if any(not np.array_equal(v.numpy(), old) for v, old in zip(group, before[name]))
        }
        # TPN's classifier is not trained: its prototypes follow the features.
        assert moved - {"classifier"} == named - {"classifier"}, phase
        assert ("classifier" in moved) == ("classifier" in named or name == "tpn"), phase
        assert len(passes) == built.method.passes, phase
    wanted = built.settings.optimization.discriminator_rate
    assert {built.training_step.optimizers[name]._rate for name in built.method.adversaries} <= {wanted}


@pytest.mark.parametrize("name", TRAINED)
def test_discriminators_that_know_nothing_are_logged_at_log_2(name, build):
    """The report draws that line."""
    built = build(name)
    built.method.observe(np.log(np.asarray([[0.7, 0.2, 0.05, 0.05]] * 3)))  # not all classes weigh the same
    for variable in built.networks().get("discriminators", ()):
        variable.assign(tf.zeros_like(variable))
    metrics = built.training_step(batch(images=built.method.images), tf.constant(3, tf.int64), built.method.phases[-1])
    if any(key.startswith("accuracy/discriminator_") for key in metrics):
        found = [value for key, value in metrics.items() if key.startswith("alignment/")]
        np.testing.assert_allclose(found, np.log(2), rtol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_a_run_that_is_killed_ends_like_one_that_is_not_whatever_the_targets_labels(name, build, tmp_path):
    whole = build(name)
    steps = STEPS if len(whole.method.phases) > 1 else 2
    half = steps // 2
    _train(whole, 0, half, steps)
    checkpoints.Checkpoints(whole.state(), str(tmp_path), 1).save(half)
    _train(whole, half, steps, steps)
    data = task()
    data.target.labels[:] = np.roll(data.target.labels, 5)  # for the final score only: no method can see them
    second = build(name, data)
    assert checkpoints.Checkpoints(second.state(), str(tmp_path), 1).restore() == half
    _train(second, half, steps, steps)
    for key, group in _state(whole).items():
        for mine, other in zip(group, _state(second)[key]):
            np.testing.assert_array_equal(mine, other, err_msg=key)


def test_a_memory_holds_what_was_said_of_each_image_last(build):
    built = build("mine")
    before = np.zeros((12, 4), np.float32)
    for seed in range(2):
        fed = batch(seed=seed)
        metrics = built.training_step(fed, tf.constant(seed, tf.int64))
        assert (metrics["memory"] > 0) == (seed > 0)
        places = fed["target_indices"].numpy()
        said = built.method.said.numpy()
        np.testing.assert_allclose(said[places].sum(axis=1), 1, rtol=1e-6)
        others = np.setdiff1d(np.arange(12), places)
        np.testing.assert_array_equal(said[others], before[others])
        before = said


@pytest.mark.parametrize("name", TRAINED)
def test_it_is_traced_once_a_phase(name, build):
    built = build(name)
    batches = TrainingBatches(built.data, built.settings.data, 0, built.method.images)
    steps = {phase: lambda b, i, p=phase: built.training_step(b, i, p) for phase in built.method.phases}
    runner = StepRunner(tf.distribute.get_strategy(), steps, False, built.networks())
    runner.build(batches.spec(built.input_spec))
    for phase in built.method.phases:
        runner.phase = phase
        iterator = iter(batches.dataset(0, 4))
        runner(iterator, 1)
        runner(iterator, 2)
        assert np.isfinite(list(runner.read_window().values())).all()
    assert runner.traces == len(built.method.phases)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [1, 4])
def test_few_or_absent_classes_and_uneven_batches_stay_finite(name, classes, build):
    built = build(name, task(classes) if classes != R else None)
    if not built.method.phases:
        built.fit()
    for labels in ((0,) * 5,) if classes == 1 else ((2,) * 5, (0, 1, 2, 3, 0)):
        if labels == (2,) * 5 and name in ("domain_class", "domain_group_class", "gsda"):
            continue  # the sampler draws classes in turn, and these rows rely on it: test_pairs has what happens if not
        for i, phase in enumerate(built.method.phases):
            metrics = built.training_step(
                batch(labels, images=built.method.images, target=3), tf.constant(i, tf.int64), phase
            )
            assert all(np.isfinite(v).all() for v in metrics.values()), metrics
        assert all(np.isfinite(v).all() for group in _state(built).values() for v in group)


@pytest.mark.parametrize("name", ["mcd", "symnets", "tpn", "self_ensembling", "tca", "gfk", "spl"])
def test_the_export_answers_as_what_is_evaluated(name, build, tmp_path):
    """Of methods that deploy something else than E and a layer of Keras: tests/serving has those."""
    built = build(name)
    if built.method.phases:
        _train(built, 0, 2)
    else:
        built.fit()
    module = ServingModule(*built.deployed, built.data.class_names, ImageGeometry(SIZE, SIZE))
    tf.saved_model.save(module, str(tmp_path), signatures=module.signatures())
    answer = tf.saved_model.load(str(tmp_path)).signatures["images"](
        images=built.data.target.records.load(tf.range(len(built.data.target)))
    )
    expected = built.inference(built.data.target)
    assert rounding.distance(answer["probabilities"], expected.probabilities) < rounding.FORWARD


def test_two_replicas_take_the_step_of_one():
    """In a process of its own: devices are split before TensorFlow starts."""
    process = Process("tests.methods.replicas", [])
    said, told = process.communicate()
    assert process.returncode == 0, said[-3000:] + told[-3000:]
    assert set(said.split()) >= {*TRAINED, "gsda+" + ",".join(methods.term_names()), "memory", "mistake"} - {"mine"}


def test_terms_add_to_any_method_and_take_the_place_of_its_entropy(build):
    settings = recipes.resolve({"method": "gsda", "add": ("mcc", "bnm")})
    assert settings.options.alpha == 0.0 and settings.options.mcc_temperature == 2.5
    assert recipes.resolve({"method": "gsda", "add": ("mcc",), "alpha": 0.3}).options.alpha == 0.3
    assert recipes.resolve({"method": "gsda", "add": ("bsp",)}).options.alpha == 0.1  # of digits
    terms = ("mcc", "bnm", "afn", "bsp", "entropy")
    metrics = build("mcd", add=terms).training_step(batch(), tf.constant(0, tf.int64))
    assert {f"loss/{name}" for name in terms} <= set(metrics)


@pytest.mark.parametrize("name", TRAINED)
def test_every_term_acts_in_every_phase_of_every_method(name, build, monkeypatch):
    """Whatever the method itself is fed. What a teacher says is test_teacher's."""
    says = types.SimpleNamespace(labels=np.arange(12) % R)
    found = types.SimpleNamespace(remark="", classes=np.arange(R), answer=says)
    monkeypatch.setattr(spl, "adapt", lambda *features, **more: found)
    built = build(name, add=methods.term_names())
    built.fit_terms()
    for phase in built.method.phases:
        for i in (3, 4):  # what is remembered of the first has a say in the second
            metrics = built.training_step(batch(images=built.training_step.images), tf.constant(i, tf.int64), phase)
        for term in methods.term_names():
            value = metrics[f"loss/{term}"]
            assert np.isfinite(value) and value != 0, (phase, term)


def test_a_term_moves_a_method_that_is_not_fed_the_target(build):
    plain, added = build("source_only"), build("source_only", add=("mcc",), mcc_weight=100.0)
    assert plain.training_step.images == ("source",) and added.training_step.images == ("source", "target")
    for built in (plain, added):
        built.training_step(batch(images=built.training_step.images), tf.constant(3, tf.int64))
    bottlenecks = [built.extractor.bottleneck.trainable_variables[0] for built in (plain, added)]
    assert np.abs(np.subtract(*bottlenecks)).max() > 1e-3


def test_a_term_is_not_added_to_what_is_fitted():
    with pytest.raises(UserError, match=r"--add=mcc is for methods that train, but --method=tca is fitted"):
        recipes.resolve({"method": "tca", "add": ("mcc",)})


def test_an_option_of_another_method_is_refused_with_one_line():
    with pytest.raises(UserError, match=r"--beta is an option of gsda, but --method=mcc: leave it out, or choose one"):
        recipes.resolve({"method": "mcc", "beta": 2.0})
    with pytest.raises(UserError, match=r"--mcc_weight is an option of mcc, --add=mcc, but --method=gsda"):
        recipes.resolve({"method": "gsda", "mcc_weight": 2.0})
    with pytest.raises(UserError, match=r"Unknown term of --add 'mmc': .*Did you mean 'mcc'"):
        recipes.resolve({"add": ("mmc",)})


def test_published_options_belong_to_their_benchmark():
    assert recipes.resolve({"task": "visda2017/Sy_Re", "method": "mcc"}).options.mcc_temperature == 3.0
    assert recipes.resolve({"task": "office31/A_W", "method": "mcc"}).options.mcc_temperature == 2.5
    assert recipes.resolve({"task": "office_home/Ar_Pr", "method": "mcd"}).options.mcd_weight == 30.0


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("none.py:A", None, "there is no file"),
        ("a.py:Mine", "x = 1 +", "cannot be imported: .*syntax"),
        ("a.py:Mine", "class Mine: pass", "is no Method with a name and a title; there is none in it"),
        ("a.py:Other", _MINE, "is no Method with a name and a title; there is Mine"),
        (
            "a.py:Mine",
            _MINE.replace('name, title = "mine", "Mine"', ""),
            "no Method with a name and a title; there is none",
        ),
    ],
)
def test_a_file_that_holds_no_such_method_is_told(name, content, told, tmp_path):
    if content is not None:
        (tmp_path / name.split(":")[0]).write_text(content)
    with pytest.raises(UserError, match=told):
        recipes.written({**SMALL, "method": str(tmp_path / name)})


def test_a_program_that_a_run_names_is_not_run_before_the_user_says_so(tmp_path):
    path, ran = tmp_path / "mine.py", tmp_path / "ran"
    path.write_text(_MINE + f"open({str(ran)!r}, 'w').close()\n")
    settings = Settings().replace({"method": f"{path}:Mine"}).flat()
    write_settings(str(tmp_path), settings, {"class_names": ["a", "b"], "data": DATA, "task": "t"})
    with pytest.raises(UserError, match=r"was trained by code in a file: say --method=.*mine\.py:Mine if you trust it"):
        restore(str(tmp_path))
    with pytest.raises(UserError, match=r"was trained with --method=.*mine\.py:Mine, not gsda: leave it out"):
        restore(str(tmp_path), method="gsda")
    assert not ran.exists()
    preset = {**settings, "method": "gsda", "extractor": "keras_hub:any", "trust_extractor": True}
    write_settings(str(tmp_path), preset, {"class_names": ["a", "b"], "data": DATA, "task": "t"})
    with pytest.raises(UserError, match=r"keras_hub:any, which is a program: say --trust_extractor"):
        restore(str(tmp_path))
