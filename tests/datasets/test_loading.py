"""Ways of bringing images: each is a file."""

import importlib
import sys

import numpy as np
import pytest

from gsda_tf.datasets import loading, own
from gsda_tf.settings import PIPELINES, DataSettings

_MINE = """
import numpy as np
from gsda_tf.data.classes import Brought, own_task
from gsda_tf.data.records import ArrayRecords

def load(settings):
    made = [Brought([n], [4], ArrayRecords(np.zeros([4, 8, 8, 3], np.uint8), n), list("xyxy")) for n in "ab"]
    return own_task("made", *made, settings.source.split("+"), settings, by_class=False)
"""


@pytest.mark.parametrize("name", PIPELINES[1:])
def test_every_file_loads(name):
    assert callable(importlib.import_module(f"gsda_tf.datasets.own.{name}").load)


def test_a_way_of_bringing_images_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "made.py").write_text(_MINE)
    monkeypatch.setattr(own, "__path__", [*own.__path__, str(tmp_path)])
    monkeypatch.setattr(loading, "PIPELINES", (*PIPELINES, "made"))
    try:
        data = loading.index(DataSettings(pipeline="made", source="x+y"))
    finally:
        sys.modules.pop("gsda_tf.datasets.own.made", None)
        vars(own).pop("made", None)
    assert data.name == "made/a_b" and data.class_names == ("x", "y")
    np.testing.assert_array_equal(data.target.labels, [0, 1, 0, 1])


def test_a_size_at_which_some_images_are_halved_before_is_told():
    for size, told in ((8, 0), (1024, 0), (1025, 1)):
        remarks = loading.index(DataSettings(task="digits/Fo_Ha", resize_size=size)).remarks
        assert sum("are halved while both sides keep 1,024 pixels" in remark for remark in remarks) == told
