"""The measurement of the input pipeline."""

import time

import numpy as np
import pytest

from benchmarks import input as input_benchmark
from gsda_tf.errors import DataError
from tests.data.pictures import write_domain


def test_rate_counts_processor_time_not_waiting():
    rate = input_benchmark.Rate()

    def wait() -> int:
        time.sleep(0.2)
        return 7

    rate.add(wait)
    rate.add(wait)
    assert rate.images == 14
    assert rate.wall >= 0.4
    assert rate.cpu < 0.2


def test_rate_per_core_is_images_by_processor_seconds():
    assert input_benchmark.Rate(images=30, cpu=0.5, wall=9.0).per_core == 60


def test_both_loaders_read_the_same_number_of_images(tmp_path):
    first, second = (write_domain(tmp_path / name, {"mug": 5, "pen": 4}) for name in ("near", "far"))
    result = input_benchmark.run([first, second], images=32, rounds=1)
    assert [each["name"] for each in result["sets"]] == ["near", "far"]
    for each in result["sets"]:
        assert each["images"] == 32
        assert each["speedup"] == pytest.approx(each["ours_per_core"] / each["pillow_per_core"])
        assert sum(each["stages"].values()) == pytest.approx(1.0)
    assert result["limit"] in result["sets"][0]["stages"]
    pillow, ours = (sum(1 / each[f"{who}_per_core"] for each in result["sets"]) for who in ("pillow", "ours"))
    assert result["speedup"] == pytest.approx(pillow / ours)
    table = input_benchmark.describe(result)
    assert "near, by core" in table and f"{result['speedup']:.2f}x" in table


def test_pillows_crops_lie_inside_and_have_the_recipes_areas(tmp_path):
    loaders = input_benchmark._Loaders(write_domain(tmp_path, {"mug": 2}), steps=1, seed=3)
    boxes = np.asarray([loaders._box(256) for _ in range(500)])
    assert (boxes[:, 0] + boxes[:, 2] <= 256).all() and (boxes[:, 1] + boxes[:, 3] <= 256).all()
    area = boxes[:, 2] * boxes[:, 3] / 256**2
    assert 0.07 < area.min() < 0.15 and area.max() > 0.8


def test_folder_without_images_is_named(tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path} holds no images"):
        input_benchmark.run([str(tmp_path)])
