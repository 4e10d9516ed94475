"""What a run says about the time that it will take."""

import pytest

from gsda_tf import recipes
from gsda_tf.training.eta import outlook

_OWN = {"source_dir": "a", "target_dir": "b"}


@pytest.mark.parametrize(
    "steps, rate, spoken",
    [(100, 10, "10.0 s"), (3000, 10, "5 min 00 s"), (20_000, 0.1, "55 h 33 min"), (20_000, 1, "5 h 33 min")],
)
def test_the_time_is_told(steps, rate, spoken):
    line = outlook(recipes.resolve(_OWN), steps, rate, gpu=False)
    assert f"{steps:,} steps take about {spoken}" in line
    assert ("Shorter:" in line) == (steps / rate >= 3600)


def test_what_shortens_it_is_what_the_run_does_not_do_yet():
    whole = outlook(recipes.resolve({**_OWN, "freeze_backbone": False}), 20_000, 0.1, gpu=False)
    assert "--freeze_backbone" in whole and "a GPU" in whole and "--image_size" in whole
    assert "a GPU" not in outlook(recipes.resolve({**_OWN, "freeze_backbone": False}), 20_000, 0.1, gpu=True)
    frozen = outlook(recipes.resolve(_OWN), 20_000, 0.1, gpu=False)
    assert "--freeze_backbone" not in frozen and "--discriminator_units=64" in frozen
    narrow = recipes.resolve({**_OWN, "discriminator_units": (64,)})
    assert "--discriminator_units" not in outlook(narrow, 20_000, 0.1, gpu=False)
