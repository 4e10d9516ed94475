import csv
import json
import os
from concurrent import futures

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from gsda_tf.data.images import ImageGeometry
from gsda_tf.errors import UserError
from gsda_tf.models.classifier import build_classifier
from gsda_tf.models.extractor import build_extractor
from gsda_tf.serving import client, predict
from gsda_tf.serving.export import export_model
from gsda_tf.settings import ModelSettings
from tests.launch import commands

NAMES = ["cat", "dog"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Thirteen images in two folders, and two files that are none."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for i in range(13):
        folder = root / NAMES[i % 2]
        folder.mkdir(exist_ok=True)
        image = rng.integers(0, 256, (12, 14, 3), np.uint8)
        (folder / f"picture {i:02}.png").write_bytes(tf.io.encode_png(image).numpy())
    (root / "cat" / "empty.jpg").write_bytes(b"")
    (root / "cat" / "text.jpg").write_text("no image")
    return str(root)


@pytest.fixture(scope="module")
def exported(images, tmp_path_factory):
    settings = ModelSettings(extractor="small_cnn", weights="none", bottleneck_units=4)
    with open(os.path.join(images, "cat", "picture 00.png"), "rb") as file:
        sample = file.read()
    networks = build_extractor(settings, 8), build_classifier(4, 2)
    root = str(tmp_path_factory.mktemp("export"))
    return export_model(*networks, NAMES, ImageGeometry(8, 8), root, {}, [sample])


def test_command_writes_a_row_for_every_image(images, exported, tmp_path):
    output = tmp_path / "rows.csv"
    told = commands.succeed(
        "predict", f"--model={exported}", f"--images={images}", f"--output={output}", "--batch=4", "--score",
        "--probabilities",
    )  # fmt: skip
    assert "15 images" in told and "2 could not be read" in told and "accuracy" in told
    with open(output, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == predict.find_images(images)
    for row in rows:
        if row["error"]:
            assert row["label"] == "" and float(row["score"]) == 0
        else:
            p = [float(row["p0"]), float(row["p1"])]
            assert row["label"] == NAMES[int(np.argmax(p))]
            np.testing.assert_allclose([sum(p), max(p)], [1, float(row["score"])], rtol=1e-5)
    errors = {os.path.basename(row["path"]): row["error"] for row in rows if row["error"]}
    assert errors == {"empty.jpg": "empty file", "text.jpg": "not an image that can be decoded"}
    assert sorted(os.listdir(tmp_path)) == ["rows.csv"]


def test_an_interrupted_run_goes_on_where_it_was(images, exported, tmp_path):
    paths, model = predict.find_images(images), predict.local_model(exported)
    whole, broken = str(tmp_path / "whole.jsonl"), str(tmp_path / "broken.jsonl")
    predict.predict(model, paths, whole, batch=4)
    asked = []

    def dies(records):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(len(records))
        return model(records)

    with pytest.raises(KeyboardInterrupt):
        predict.predict(dies, paths, broken, batch=4)
    assert not os.path.exists(broken)
    with open(f"{broken}.partial", "a", encoding="utf-8") as file:
        file.write('{"path": "cut o')  # as a kill in the middle of a line leaves it
    again = []

    def counts(records):
        again.append(len(records))
        return model(records)

    predict.predict(counts, paths, broken, batch=4)
    assert sum(again) == len(paths) - 8
    with open(whole, encoding="utf-8") as one, open(broken, encoding="utf-8") as other:
        for a, b in zip(one.readlines(), other.readlines()):
            first, second = json.loads(a), json.loads(b)
            np.testing.assert_allclose(first.pop("score"), second.pop("score"), atol=1e-6)
            assert first == second


def test_a_partial_file_of_other_images_is_refused(images, exported, tmp_path):
    output = tmp_path / "rows.csv"
    (tmp_path / "rows.csv.partial").write_text('{"path": "elsewhere.png"}\n')
    with pytest.raises(UserError, match="run over other images"):
        predict.predict(predict.local_model(exported), predict.find_images(images), str(output))


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """What TensorFlow Serving does with a PredictRequest."""

    def __init__(self, path):
        self._model = tf.saved_model.load(path)

    def Predict(self, request, context):  # noqa: N802 - the name in the proto
        inputs = {name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()}
        response = predict_pb2.PredictResponse()
        for name, value in self._model.signatures[request.model_spec.signature_name](**inputs).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
        return response


def test_a_server_gives_what_the_export_gives(images, exported, tmp_path):
    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Service(exported), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        paths = predict.find_images(images)
        local, remote = str(tmp_path / "local.jsonl"), str(tmp_path / "remote.jsonl")
        predict.predict(predict.local_model(exported), paths, local, probabilities=True)
        predict.predict(client.remote_model(f"grpc://localhost:{port}"), paths, remote, probabilities=True)
    finally:
        server.stop(None)
    with open(local, encoding="utf-8") as one, open(remote, encoding="utf-8") as other:
        assert [json.loads(line) for line in one] == [json.loads(line) for line in other]


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--model=nowhere", "--images=."], "holds no export"),
        (["--images=."], "Give either --model"),
        (["--model=x", "--images=missing"], "no such folder, pattern or list file"),
        (["--server=http://localhost:1", "--images={images}"], "expected grpc://HOST:PORT"),
        (["--server=grpc://localhost:1", "--images={images}", "--output={tmp}/o.csv"], "did not answer"),
    ],
)
def test_a_mistake_is_told_in_one_line(flags, expected, images, tmp_path):
    assert expected in commands.fail("predict", *(f.format(images=images, tmp=tmp_path) for f in flags))


def test_score_counts_wrong_labels_and_tells_folders_that_are_no_classes(images, tmp_path):
    def dogs(records):
        bad = [not record or not record.startswith(b"\x89PNG") for record in records]
        return predict.Answers(["" if b else "dog" for b in bad], np.ones(len(records)), np.ones((len(records), 1)))

    result = predict.predict(dogs, predict.find_images(images), str(tmp_path / "a.csv"))
    np.testing.assert_allclose(result.accuracy, 6 / 13)  # seven cats, six dogs
    assert (result.images, result.unreadable) == (15, 2)

    def birds(records):
        return predict.Answers(["bird"] * len(records), np.ones(len(records)), np.ones((len(records), 1)))

    assert predict.predict(birds, predict.find_images(images), str(tmp_path / "b.csv")).accuracy is None
