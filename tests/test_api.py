"""The package used from Python, as a notebook uses it."""

import dataclasses
import os
import pickle
import shutil
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import gsda_tf
from gsda_tf import methods
from gsda_tf.datasets.own.lists import read_list
from gsda_tf.methods.base import Method
from gsda_tf.settings import setting
from tests import rounding

_QUICK = {"steps": 30, "report": False, "export": False}


def _features(seed, labels=True):
    """Two classes that differ in one direction, in a target that is shifted."""
    rng = np.random.default_rng(seed)
    y = np.arange(40) % 2
    x = rng.normal(size=(40, 6)) + 4.0 * y[:, None] * np.eye(6)[0] + seed * np.eye(6)[1]
    return (x.astype(np.float64), np.asarray(["no", "yes"])[y]) if labels else (x, None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_features_of_any_model_and_what_a_run_offers(folder):
    source, target = (gsda_tf.Domain.from_arrays(*_features(seed)) for seed in (0, 1))
    run = gsda_tf.adapt(source, target, method="mcc", bottleneck_units=8, **_QUICK)
    assert "score/a_distance" in run.scores
    assert run.class_names == ("no", "yes")
    x, labels = _features(1)
    said = run.predict(x)
    assert run.scores["accuracy/target"] == pytest.approx((said["label"] == labels).mean())
    assert said["probabilities"].shape == (40, 2) and (said["score"] >= 0.5).all()
    f = run.features(x)
    assert f.shape == (40, 8)
    assert rounding.distance(run.classifier(f), run.classifier(run.extractor(x.astype(np.float32)))) < rounding.FORWARD
    assert run.evaluate()["accuracy/target"] == run.scores["accuracy/target"]
    assert len(run.history) and "mcc" in run._repr_html_() and repr(run).startswith("Run('runs/arrays/")
    other, content = folder / "elsewhere", pickle.dumps(run)
    other.mkdir()
    os.chdir(other)
    assert len(run.history) and run.report().startswith(str(folder)) and not os.listdir()
    again = gsda_tf.load(run.workdir)
    np.testing.assert_array_equal(again.predict(x)["probabilities"], said["probabilities"])
    shutil.rmtree(run.workdir)
    np.testing.assert_array_equal(pickle.loads(content).predict(x)["probabilities"], said["probabilities"])
    with pytest.raises(gsda_tf.UserError, match=r"Features of 5 numbers were given: .* \[n, 6\]"):
        run.predict(x[:, :5])
    for wrong in ("steps", "sorce_dir"):
        with pytest.raises(gsda_tf.UserError, match=f"Unknown setting '{wrong}'"):
            gsda_tf.load(run.workdir, **{wrong: "3"})


@pytest.fixture
def registry():
    """Forgets what a test registered: other tests compare with the methods that a fresh process has."""
    yield
    methods._found.cache_clear()


@pytest.mark.usefixtures("registry")
def test_a_method_class_of_ones_own_in_a_thread_twice(folder):
    class Shrinking(Method):
        """Small features."""

        name, title = "shrinking", "Shrinking"

        @dataclasses.dataclass(frozen=True)
        class Options:
            shrink: float = setting(0.1, "weight of the features' size", minimum=0)

        def loss(self, b):
            return self.classification(b) + self.options.shrink * b.mean(tf.square(b.features))

    domains = [gsda_tf.Domain.from_arrays(*_features(seed)) for seed in (0, 1)]
    runs = []

    def train():
        runs.append(gsda_tf.adapt(*domains, method=Shrinking, shrink=0.2, bottleneck_units=4, **_QUICK))

    for _ in range(2):
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    assert len(runs) == 2 and runs[0].workdir == runs[1].workdir  # the second found it finished
    assert runs[0].summary["settings"]["shrink"] == 0.2

    class Edited(Method):
        name, title, Options = Shrinking.name, Shrinking.title, Shrinking.Options

        def loss(self, b):
            return self.classification(b)

    with pytest.raises(gsda_tf.UserError, match=r"holds a finished run of other code .*shrinking has changed"):
        gsda_tf.adapt(*domains, method=Edited, shrink=0.2, bottleneck_units=4, **_QUICK)
    with pytest.raises(gsda_tf.UserError, match="There is a method called gsda already"):
        gsda_tf.adapt(*domains, method=type("Other", (Method,), {"name": "gsda", "title": "G"}), **_QUICK)


def test_folders_and_a_keras_model_as_extractor(folder):
    for domain, shade in (("labelled", 60), ("new", 80)):
        for name, extra in (("dark", 0), ("light", 120)):
            (folder / domain / name).mkdir(parents=True)
            for i in range(4):
                image = np.full((16, 16, 3), shade + extra + i, np.uint8)
                Image.fromarray(image).save(folder / domain / name / f"{i}.png")
    inputs = keras.Input([16, 16, 3])
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    with pytest.raises(gsda_tf.UserError, match="a Keras model without weights yet"):
        gsda_tf.adapt(*[gsda_tf.Domain.from_folder("new")] * 2, extractor=keras.Sequential([keras.layers.Dense(3)]))
    run = gsda_tf.adapt(
        *(gsda_tf.Domain.from_folder(str(folder / name)) for name in ("labelled", "new")),
        method="source_only", extractor=model, preprocessing="minus_one_to_one", image_size=16, resize_size=16,
        bottleneck_units=4, augmentation="none",
        source_batch=4, target_batch=4, **_QUICK,
    )  # fmt: skip
    paths = [str(folder / "new" / "dark" / "0.png"), str(folder / "new" / "light" / "3.png")]
    said = run.predict(paths)
    assert said["path"].tolist() == paths
    assert set(said["label"]) <= {"dark", "light"} and said["probabilities"].shape == (2, 2)
    assert run.summary["settings"]["extractor"].endswith(".keras")


def test_a_tf_data_set_of_images(folder):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)
    source = tf.data.Dataset.from_tensor_slices((images, np.arange(12) % 3))
    domains = (
        gsda_tf.Domain.from_dataset(source),
        gsda_tf.Domain.from_dataset(tf.data.Dataset.from_tensor_slices(255 - images).batch(5)),
    )
    run = gsda_tf.adapt(
        *domains, method="dan", extractor="small_cnn", weights="none", image_size=8, resize_size=8, **_QUICK
    )
    assert run.scores["accuracy/target"] is None and len(run.predict(images)["label"]) == 12
    os.rename(run.workdir, "handed[1]")
    with pytest.raises(gsda_tf.UserError, match="choose another folder"):
        gsda_tf.load("handed[1]").predict(images)
    os.rename("handed[1]", "handed on")
    shutil.rmtree("runs")  # the arrays, too
    run = gsda_tf.load("handed on")
    assert run.class_names == ("0", "1", "2")
    path = run.export(format="keras")
    said = keras.models.load_model(path).predict(images.astype(np.float32), verbose=0)
    assert rounding.distance(said, run.predict(images)["probabilities"]) < rounding.FORWARD
    _check_odd_rows(run, images)
    for wrong, name in ((["keras", "onnx"], "onnx"), ([], r"\[\]")):
        with pytest.raises(gsda_tf.UserError, match=f"Unknown format '{name}'"):
            run.export(format=wrong)
    assert "error" in run.predict(images) and "<img" in run._repr_html_()
    assert sorted(os.listdir(os.path.dirname(path))) == ["1.keras", "1.labels.txt"]


def _check_odd_rows(run, images):
    """One row that cannot be read costs no other its answer."""
    whole = run.predict(images[:3])
    for i in range(3):
        Image.fromarray(images[i]).save(f"{i}.png")
    with open("damaged.png", "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
    said = run.predict(["0.png", "missing.png", "1.png", "damaged.png", None, "2.png"])
    good = [0, 2, 5]
    assert said["label"].tolist() == [whole["label"][0], "", whole["label"][1], "", "", whole["label"][2]]
    assert rounding.distance(said["probabilities"][good], whole["probabilities"]) < rounding.FORWARD
    assert np.isnan(said["score"][[1, 3, 4]]).all() and np.isnan(run.features(["missing.png"])).all()
    assert [bool(error) for error in said["error"]] == [False, True, False, True, True, False]
    assert "No such file" in said["error"][1]
    several = run.predict([images[0], images[1, :5], images[2] / 255.0 * 255])
    assert rounding.distance(several["probabilities"][[0, 2]], whole["probabilities"][[0, 2]]) < rounding.FORWARD


def test_a_table_of_paths(folder):
    for i in range(4):
        Image.fromarray(np.full((8, 8, 3), 60 * i, np.uint8)).save(f'{i} "ä", x.png')
    frame = {"file": [f'{i} "ä", x.png' for i in range(4)], "kind": ["a", "b", "b, c", "a"]}
    source, target = (gsda_tf.Domain.from_table(frame, image="file", label=label) for label in ("kind", ""))
    lists = [read_list(domain.settings["_list"]) for domain in (source, target)]
    assert [line.label for line in lists[0].lines] == frame["kind"]
    assert not lists[1].known
    assert [line.path for line in lists[1].lines] == [str(folder / name) for name in frame["file"]]
    with pytest.raises(gsda_tf.UserError, match=r"Unknown column 'fil': .* Did you mean 'file'"):
        gsda_tf.Domain.from_table(frame, image="fil")
    named = gsda_tf.Domain.from_arrays(frame["file"], [0, 1, 0, 1], ["x", "y"])
    assert [line.label for line in read_list(named.settings["_list"]).lines] == ["x", "y", "x", "y"]


def test_a_domain_is_the_same_wherever_the_process_goes(folder):
    domains = [
        gsda_tf.Domain.from_folder("photos"),
        gsda_tf.Domain.from_list("list.txt", image_root="photos"),
        gsda_tf.Domain.from_arrays(np.zeros([2, 3])),
        gsda_tf.Domain.from_arrays(["a.png"]),
    ]
    places = [value for domain in domains for value in domain.given("source").values()]
    assert len(places) == 6 and all(map(os.path.isabs, places))
    assert gsda_tf.Domain.from_tfds("mnist:test").given("target") == {"target": "mnist:test"}


def test_mistakes_are_one_sentence(folder):
    source, target = (gsda_tf.Domain.from_arrays(*_features(seed)) for seed in (0, 1))
    with pytest.raises(gsda_tf.UserError, match="from arrays, the target from folders: expected both from the same"):
        gsda_tf.adapt(source, gsda_tf.Domain.from_folder("x"))
    with pytest.raises(gsda_tf.UserError, match="A ndarray was given: expected a Domain"):
        gsda_tf.adapt(np.zeros([4, 2]), target)
    for values, said in (
        ([_features(0)[0], [0, 1]], r"there are 40 rows and labels of \(2,\)"),
        ([np.full((3, 2), np.nan)], "3 of 3 rows cannot be used, the first is row 0"),
    ):
        with pytest.raises(gsda_tf.UserError, match=said):
            gsda_tf.Domain.from_arrays(*values)
    with pytest.raises(gsda_tf.UserError, match="method=5: expected a name"):
        gsda_tf.adapt(source, target, method=5)
    with pytest.raises(gsda_tf.UserError, match="Unknown method 'mdc'"):
        gsda_tf.adapt(source, target, method="mdc")
    with pytest.raises(gsda_tf.UserError, match="holds no finished run"):
        gsda_tf.load("nowhere")
    with pytest.raises(gsda_tf.UserError, match="5 was given: expected the folder of a run"):
        gsda_tf.load(5)
    for frame in ("table.csv", None, [1]):
        with pytest.raises(gsda_tf.UserError, match=r"A \w+ was given: expected a table"):
            gsda_tf.Domain.from_table(frame)
    with pytest.raises(gsda_tf.UserError, match="features or paths, or"):
        gsda_tf.Domain.from_dataset(tf.data.Dataset.from_tensor_slices({"a": [1], "b": [2]}))
    assert set(gsda_tf.list_methods()) >= {"gsda", "mcc", "tca"}
