"""The teacher's labels: whose they are, what they weigh, and files that are refused."""

import numpy as np
import pytest

from gsda_tf.errors import UserError
from gsda_tf.methods import spl, teacher
from tests.methods import peers
from tests.methods.build import experiment
from tests.methods.test_atdoc import batch, made


@pytest.mark.usefixtures("in_double")
def test_the_loss_by_its_formula():
    (z_t,) = peers.given("z_t")
    term, indices = made("teacher", "TeacherTerm", teacher_weight=0.7), np.array([3, 1, 1, 0, 7, 6, 2, 5])
    assert term.loss(batch(indices)) == 0.0  # it has said nothing yet
    labels = np.array([0, 4, -1, 2, 1, 1, -1, 3])
    term.kept["labels"].assign(labels)
    p = peers.softmax(z_t)
    expected = -sum(np.log(p[i, labels[j]]) for i, j in enumerate(indices) if labels[j] >= 0) / 8
    np.testing.assert_allclose(term.loss(batch(indices)), 0.7 * expected, rtol=1e-9)
    peers.differentiate(lambda z: term.loss(batch(indices, z_t=z)), z_t.numpy())


def test_spl_teaches_what_it_finds_in_the_features_and_never_sees_a_target_label():
    built = experiment("source_only", add=("teacher",))
    built.fit_terms()
    source, target = built.embeddings()
    found = spl.adapt(source, built.data.source.labels, target)
    (kept,) = [v for name, group in built.state().items() if name == "teacher_labels" for v in group]
    np.testing.assert_array_equal(kept, found.classes[found.answer.labels])


@pytest.mark.parametrize(
    "values, told",
    [
        (np.zeros(3, np.int64), r"holds int64 \[3\]. Expected spl, or a .npy file of 4 integers"),
        (np.zeros(4), r"holds float64 \[4\]. Expected"),
        (np.array([0, 1, 2, 5]), "has labels 0 to 5. Expected .* 0 to 4"),
        (np.array([0, 1, {}, 2], object), "cannot be read: .*Python objects"),
    ],
)
def test_a_file_of_other_labels_is_refused(values, told, tmp_path):
    path = str(tmp_path / "labels.npy")
    np.save(path, values)
    with pytest.raises(UserError, match=told):
        teacher.read_labels(path, 4, 5)
    np.save(path, np.array([4, -1, 0, 2], np.int16))
    assert teacher.read_labels(path, 4, 5).tolist() == [4, -1, 0, 2]
    with open(path, "wb") as file:
        file.write(b"no array")
    with pytest.raises(UserError, match=r"cannot be read: .*Expected spl, or a .npy file"):
        teacher.read_labels(path, 4, 5)
