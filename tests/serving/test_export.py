import csv
import dataclasses
import json
import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from gsda_tf import compat
from gsda_tf.choosing.committee import Committee
from gsda_tf.data import images
from gsda_tf.data.images import ImageGeometry
from gsda_tf.errors import TrainingError
from gsda_tf.models.classifier import build_classifier
from gsda_tf.models.extractor import build_extractor, extractor_beside
from gsda_tf.runs.exported import place, versions, writing_folder
from gsda_tf.serving import export, fresh, predict
from gsda_tf.serving.model import local_model
from gsda_tf.serving.module import ServingModule
from gsda_tf.settings import ModelSettings
from tests import rounding
from tests.data.pictures import scans
from tests.processes import Process

NAMES = ["cat", "dog", "hen"]


def _networks(seed=0):
    settings = ModelSettings(extractor="small_cnn", weights="none", bottleneck_units=8)
    return compat.seeded(seed, lambda: (build_extractor(settings, 16), build_classifier(8, 3)))


def _images(count=4, size=(20, 30)):
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, *size, 3), np.uint8)


def _png(images):
    return [tf.io.encode_png(image).numpy() for image in images]


@pytest.fixture(scope="package")
def exported(quick_check, tmp_path_factory):
    """A version on disk, and the networks it was made from."""
    root = str(tmp_path_factory.mktemp("export"))
    networks = _networks()
    path = export.export_model(
        *networks, NAMES, ImageGeometry(16, 18), root, {"class_names": NAMES, "groups": [["cat"]]}, _png(_images())
    )
    return path, networks


def _committee(extractor, classifier):
    """A second head over the same backbone: with the first, two candidates, of which one has two seeds."""
    beside = [extractor_beside(extractor, ModelSettings(bottleneck_units=8, bottleneck_norm="none")) for _ in range(2)]
    heads = [(each, build_classifier(8, 3)) for each in beside]
    return Committee({"source_only": [(extractor, classifier)], "mcc": heads}), [(extractor, classifier), *heads]


def test_a_committee_says_how_far_it_agrees(quick_check, tmp_path):
    records, geometry = _png(_images()), ImageGeometry(16, 16)
    networks = _networks()
    committee, heads = _committee(*networks)
    made = export.export_model(*networks, NAMES, geometry, str(tmp_path), {}, records, committee=committee)
    assert made == str(tmp_path / "1")
    embedded = networks[0].embed(tf.stack([images.seen(tf.constant(r), geometry) for r in records]))
    said = [tf.nn.softmax(c(e.bottleneck(embedded))).numpy() for e, c in heads]
    due = (said[0] + (said[1] + said[2]) / 2) / 2
    expected = due[np.arange(4), said[0].argmax(1)]
    model = local_model(made)
    answers = model.ask([*records, b""], False)
    assert rounding.distance(answers["agreement"], [*expected, 0.0]) < rounding.FORWARD
    label = np.array([NAMES[k].encode() for k in said[0].argmax(1)])
    with pytest.raises(ValueError, match="agreement differ by"):
        export._compare(
            "saved_model", {"probabilities": said[0], "agreement": expected + 0.1, "label": label},
            {"probabilities": said[0], "agreement": expected}, NAMES, 1e-5,
        )  # fmt: skip
    paths = [str(tmp_path / f"{i}.png") for i in range(2)]
    for path, record in zip(paths, (records[0], b"none")):
        with open(path, "wb") as file:
            file.write(record)
    predict.predict(model, paths, str(tmp_path / "rows.csv"))
    with open(tmp_path / "rows.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "score", "agreement", "error"]
    assert float(rows[0]["agreement"]) == pytest.approx(expected[0], abs=1e-5) and float(rows[1]["agreement"]) == 0


def test_answers_as_the_model_in_memory(exported):
    from gsda_tf.data import images

    path, (extractor, classifier) = exported
    records = _png(_images())
    seen = tf.stack([images.seen(tf.constant(r), images.ImageGeometry(16, 18)) for r in records])
    f = extractor(seen)
    expected = tf.nn.softmax(classifier(f)).numpy()
    model = tf.saved_model.load(path)
    answer = model.signatures["serving_default"](image_bytes=tf.constant(records))
    assert rounding.distance(answer["probabilities"], expected) < rounding.FORWARD
    assert [x.decode() for x in answer["label"].numpy()] == [NAMES[k] for k in expected.argmax(1)]
    assert rounding.distance(answer["score"], expected.max(1)) < rounding.FORWARD
    features = model.signatures["features"](image_bytes=tf.constant(records))["features"]
    assert rounding.distance(features, f) < rounding.FORWARD
    pixels = model.signatures["images"](images=tf.constant(_images()))
    assert rounding.distance(pixels["probabilities"], expected) < rounding.FORWARD
    named = model.signatures["class_names"](index=tf.constant([2, 0, 3, -1], tf.int64))["class_name"]
    assert list(named.numpy()) == [b"hen", b"cat", b"", b""]
    called = model(tf.constant(records))
    np.testing.assert_array_equal(called["label"], answer["label"])
    for dtype in (tf.int32, tf.int64):
        found = model.class_name(tf.argmax(called["probabilities"], axis=1, output_type=dtype))["class_name"]
        np.testing.assert_array_equal(found, answer["label"])


def test_the_lines_of_the_readme(exported, repository, tmp_path, monkeypatch, capsys):
    with open(os.path.join(repository, "README.md"), encoding="utf-8") as file:
        (code,) = re.findall(r"```python\n(import tensorflow.*?)```", file.read(), re.DOTALL)
    os.makedirs(tmp_path / "RUN" / "export")
    os.symlink(exported[0], tmp_path / "RUN" / "export" / "1")
    (tmp_path / "new.jpg").write_bytes(tf.io.encode_jpeg(_images()[0]).numpy())
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    label, score = capsys.readouterr().out.split()
    assert label.strip("[]b'") in NAMES and 0 < float(score.strip("[]")) <= 1


def test_one_bad_image_takes_no_other_down(exported):
    good = _png(_images())
    bomb = bytearray(good[0])
    bomb[16:24] = (60000).to_bytes(4, "big") * 2  # a PNG header that promises 60,000 x 60,000 pixels
    jpeg = tf.io.encode_jpeg(_images()[0]).numpy()
    batch = [good[0], b"", b"no image at all", jpeg[: len(jpeg) // 3], bytes(bomb), scans(1000), good[1]]
    signatures = tf.saved_model.load(exported[0]).signatures
    answer = signatures["serving_default"](image_bytes=tf.constant(batch))
    alone = signatures["serving_default"](image_bytes=tf.constant([good[0], good[1]]))
    assert rounding.distance(answer["probabilities"].numpy()[[0, 6]], alone["probabilities"]) < rounding.FORWARD
    assert list(answer["label"].numpy()[1:6]) == [b""] * 5
    np.testing.assert_array_equal(answer["score"].numpy()[1:6], 0)
    assert (answer["score"].numpy()[[0, 6]] > 0).all()


def test_a_batch_without_one_good_image_is_answered(exported):
    signatures = tf.saved_model.load(exported[0]).signatures
    for batch in ([b"none"], [b"", b"none"]):
        answer = signatures["features"](image_bytes=tf.constant(batch, tf.string))
        assert list(answer["label"].numpy()) == [b""] * len(batch)
        assert answer["features"].shape == (len(batch), 8) and not answer["probabilities"].numpy().any()


def test_a_batch_of_no_image_has_an_answer_of_no_rows(exported):
    signatures = tf.saved_model.load(exported[0]).signatures
    for name in ("serving_default", "features"):
        answer = signatures[name](image_bytes=tf.constant([], tf.string))
        assert answer["probabilities"].shape == (0, 3) and answer["label"].shape == answer["score"].shape == (0,)
    assert signatures["images"](images=tf.zeros([0, 20, 30, 3], tf.uint8))["probabilities"].shape == (0, 3)


@pytest.fixture(scope="module")
def decoded():
    """Which files of a batch a served model decodes, whose pixels may take so many bytes."""
    module = ServingModule(*_networks(), NAMES, ImageGeometry(16, 18))

    def ask(batch, most):
        module._geometry = dataclasses.replace(module._geometry, max_bytes=most)
        return list(module._decode(tf.constant(batch, tf.string))[1].numpy())

    return ask


def test_only_jpeg_and_png_up_to_a_size_are_decoded(decoded):
    from io import BytesIO

    from PIL import Image

    def saved(kind, size):
        file = BytesIO()
        Image.fromarray(_images(1, size)[0]).save(file, kind)
        return file.getvalue()

    fine, large = (20, 25), (20, 26)
    batch = [saved(kind, size) for kind in ("PNG", "JPEG") for size in (fine, large)]
    batch += [saved(kind, fine) for kind in ("GIF", "BMP")]
    wide = bytearray(batch[0])
    wide[16:20] = (2**32 - 1).to_bytes(4, "big")  # a width that is negative if it is read as a signed number
    good = decoded([*batch, bytes(wide), batch[0][:20]], 1500)
    assert good == [True, False, True, False, False, False, False, False]


def test_the_size_of_a_png_counts_its_channels_and_their_depth(decoded):
    kinds = {(1, "uint8"): 3, (3, "uint8"): 3, (3, "uint16"): 6, (2, "uint8"): 4, (4, "uint8"): 4, (4, "uint16"): 8}
    batch = [tf.io.encode_png(np.zeros([20, 30, channels], dtype)).numpy() for channels, dtype in kinds]
    for most in (3, 4, 6):
        assert decoded(batch, 600 * most) == [taken <= most for taken in kinds.values()]


def test_holds_the_two_networks_and_nothing_else(exported):
    path, (extractor, classifier) = exported
    names = tf.train.list_variables(os.path.join(path, "variables", "variables"))
    floats = sum(int(np.prod(shape)) for name, shape in names if name.startswith("weights/"))
    assert floats == extractor.count_params() + classifier.count_params()
    assert not any("velocit" in name or "discriminator" in name for name, _ in names)


def test_carries_its_assets_and_warm_up_requests(exported):
    from tensorflow_serving.apis import prediction_log_pb2

    path, _ = exported
    assert os.listdir(os.path.dirname(path)) == ["1"]  # nothing is left of the writing
    with open(os.path.join(path, "assets", "class_names.json"), encoding="utf-8") as file:
        assert json.load(file) == NAMES
    warmup = os.path.join(path, "assets.extra", "tf_serving_warmup_requests")
    logs = [prediction_log_pb2.PredictionLog.FromString(r.numpy()) for r in tf.data.TFRecordDataset(warmup)]
    signatures = tf.saved_model.load(path).signatures
    for log in logs:
        request = log.predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        signatures[request.model_spec.signature_name](**inputs)  # every request can be answered
    specs = [log.predict_log.request.model_spec for log in logs]
    assert {spec.signature_name for spec in specs} == {"serving_default", "features", "images"}


@pytest.mark.parametrize(
    "answer, expected",
    [
        ({"probabilities": [[0.2, 0.8, 0.0]], "label": [b"hen"]}, "names classes wrongly"),
        ({"probabilities": [[0.0, 0.0, 0.0]], "label": [b""]}, "could not decode 1 of 1"),
        ({"probabilities": np.zeros([0, 3]), "label": []}, "at least one"),
        ({"probabilities": [[np.nan, 0.8, 0.0]], "label": [b"dog"]}, "answers otherwise"),
        ({"probabilities": [[0.2, 0.8001, 0.0]], "label": [b"dog"]}, "probabilities differ by 0.0001"),
    ],
)
def test_the_check_finds(answer, expected, monkeypatch, tmp_path):
    monkeypatch.setattr(fresh, "ask", lambda _, arguments: np.savez(arguments[3], **answer))
    monkeypatch.setattr(export, "_in_memory", lambda *_: {"probabilities": np.asarray([[0.2, 0.8, 0.0]])})
    monkeypatch.setattr(export, "_save", lambda *given: os.makedirs(given[4]))
    with pytest.raises(TrainingError, match=expected):
        export.export_model(*_networks(), NAMES, ImageGeometry(16, 18), str(tmp_path), {}, _png(_images(1)))
    assert os.listdir(tmp_path) == []


def test_other_weights_on_disk_than_in_memory_are_found(tmp_path, monkeypatch):
    save = export._save

    def damaged(extractor, classifier, *rest):
        save(extractor, build_classifier(8, 3), *rest)

    monkeypatch.setattr(export, "_save", damaged)
    with pytest.raises(TrainingError, match="answers otherwise"):
        export.export_model(*_networks(), NAMES, ImageGeometry(16, 18), str(tmp_path), {}, _png(_images()))
    assert os.listdir(tmp_path) == []


def test_a_check_that_takes_for_ever_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(fresh, "CHECK_SECONDS", 0.01)
    with pytest.raises(TrainingError, match=r"within 0.01 s and was removed"):
        export.export_model(*_networks(), NAMES, ImageGeometry(16, 18), str(tmp_path), {}, _png(_images(1)))
    assert os.listdir(tmp_path) == []


def test_what_a_killed_export_left_is_removed_and_what_another_writes_is_not(tmp_path):
    script = (
        "import sys, time\nfrom gsda_tf.runs.exported import writing_folder\n"
        "with writing_folder(sys.argv[1]) as aside:\n    print(aside, flush=True)\n    time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        other = process.stdout.readline().strip()
        with writing_folder(str(tmp_path)) as aside:
            assert os.path.isdir(other) and os.path.isdir(aside)
        process.kill()
        process.wait()
    assert os.path.isdir(other)
    with writing_folder(str(tmp_path)) as aside:
        assert os.listdir(tmp_path) == [os.path.basename(aside)]


def test_exports_at_once_get_versions_of_their_own(tmp_path):
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "kept").touch()
    (tmp_path / "labels.txt").touch()
    got, together = [], threading.Barrier(8)

    def write(number):
        with writing_folder(str(tmp_path)) as aside:
            os.mkdir(os.path.join(aside, "model"))
            with open(os.path.join(aside, "model", "saved_model.pb"), "w") as file:
                file.write(str(number))
            together.wait()
            got.append((place([os.path.join(aside, "model")], str(tmp_path))[0], number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions(str(tmp_path)) == list(range(7, 16)) and (tmp_path / "7" / "kept").exists()
    for path, number in got:
        with open(os.path.join(path, "saved_model.pb")) as file:
            assert file.read() == str(number)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_an_experiment_in_mixed_precision_is_exported_in_the_one_asked_for(precision, tmp_path, monkeypatch):
    from gsda_tf import recipes
    from gsda_tf.data.domain import DomainData, TaskData
    from gsda_tf.data.records import ArrayRecords
    from gsda_tf.training.experiment import Experiment

    small = {
        "extractor": "small_cnn", "weights": "none", "bottleneck_units": 8, "image_size": 16, "resize_size": 16,
        "precision": "mixed_bfloat16", "method": "source_only",
    }  # fmt: skip
    domain = DomainData("x", ArrayRecords(_images(6, (16, 16)), "x"), np.arange(6, dtype=np.int32) % 3)
    experiment = Experiment(
        recipes.written(small), TaskData("x/y", domain, domain, tuple(NAMES)), tf.distribute.get_strategy()
    )
    expected = {}
    monkeypatch.setattr(fresh, "ask", lambda _, arguments: np.savez(arguments[3]))
    monkeypatch.setattr(export, "_compare", lambda kind, answer, memory, *_: expected.update(p=memory["probabilities"]))
    path = export.export_experiment(experiment, str(tmp_path), {"step": 3}, precision)
    with open(os.path.join(path, "saved_model.pb"), "rb") as file:
        graph = file.read()
    from tensorflow.core.protobuf import saved_model_pb2

    functions = saved_model_pb2.SavedModel.FromString(graph).meta_graphs[0].graph_def.library.function
    kinds = {node.attr["T"].type for function in functions for node in function.node_def if node.op == "Conv2D"}
    assert kinds == {tf.float32.as_datatype_enum if precision == "float32" else tf.bfloat16.as_datatype_enum}
    model = tf.saved_model.load(path)
    answer = model.signatures["images"](images=tf.constant(_images(6, (16, 16))))["probabilities"]
    allowed = rounding.FORWARD if precision == "float32" else export.MIXED_TOLERANCE
    assert rounding.distance(answer, expected["p"]) < allowed
    trained = experiment.method.classifier(experiment.extractor(_images(6, (16, 16))))
    np.testing.assert_allclose(answer, tf.nn.softmax(trained), atol=0.02)


def test_networks_on_two_devices_are_exported_as_on_one(tmp_path):
    process = Process("tests.serving.mirrored", [str(tmp_path)])
    said, told = process.communicate()
    assert said.split()[-1:] == ["alike"], told[-3000:]


def _cli(folder, *arguments):
    """TensorFlow's own program beside this interpreter; it knows nothing of this package."""
    command = [os.path.join(os.path.dirname(sys.executable), "saved_model_cli"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_saved_model_cli_runs_it(exported, tmp_path):
    path, _ = exported
    np.save(tmp_path / "images.npy", np.asarray(_png(_images())))
    _cli(
        tmp_path, "run", "--dir", path, "--tag_set=serve", "--signature_def=serving_default",
        f"--inputs=image_bytes={tmp_path / 'images.npy'}", f"--outdir={tmp_path}",
    )  # fmt: skip
    expected = tf.saved_model.load(path).signatures["serving_default"](image_bytes=tf.constant(_png(_images())))
    assert rounding.distance(np.load(tmp_path / "probabilities.npy"), expected["probabilities"]) < rounding.FORWARD
    np.testing.assert_array_equal(np.load(tmp_path / "label.npy", allow_pickle=True), expected["label"])


_OTHER = os.environ.get("GSDA_OTHER_PYTHON")

_THERE = """
import pickle, sys, tensorflow as tf
from tests.serving.test_export import NAMES, ImageGeometry, ServingModule, _networks
path, samples = sys.argv[1], pickle.load(open(sys.argv[2], "rb"))
module = ServingModule(*_networks(), NAMES, ImageGeometry(16, 18))
tf.saved_model.save(module, path + "/there", signatures=module.signatures())
for each in (sys.argv[3], path + "/there"):
    answer = tf.saved_model.load(each).signatures["serving_default"](image_bytes=tf.constant(samples))
    pickle.dump({name: value.numpy() for name, value in answer.items()}, open(path + "/answers", "ab"))
"""


@pytest.mark.skipif(not _OTHER, reason="GSDA_OTHER_PYTHON names no interpreter of the other TensorFlow generation")
def test_the_other_generation_answers_alike(exported, tmp_path, repository):
    """What either generation writes, both load, and they say the same of it."""
    import pickle

    samples = _png(_images())
    (tmp_path / "samples").write_bytes(pickle.dumps(samples))
    command = [_OTHER, "-c", f"{_THERE}print(tf.__version__)", str(tmp_path), str(tmp_path / "samples"), exported[0]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-1].split(".")[:2] != tf.__version__.split(".")[:2]
    with open(tmp_path / "answers", "rb") as file:
        for path in (exported[0], str(tmp_path / "there")):
            there = pickle.load(file)
            here = tf.saved_model.load(path).signatures["serving_default"](image_bytes=tf.constant(samples))
            assert np.ptp(here["probabilities"].numpy(), axis=0).max() > 1e-3  # it does not say one thing of everything
            assert rounding.distance(there["probabilities"], here["probabilities"]) < rounding.FORWARD
            np.testing.assert_array_equal(there["label"], here["label"])


def test_a_relative_folder_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with writing_folder("run/export") as aside:
        assert os.path.isabs(aside)
        os.mkdir(os.path.join(aside, "model"))
        assert place([os.path.join(aside, "model")], "run/export") == [os.path.join("run/export", "1")]
    assert os.listdir("run/export") == ["1"]
