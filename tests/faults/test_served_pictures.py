"""Pictures that are bombs do not take the served model's memory."""

import json

from tests.faults.served_pictures import PICTURES
from tests.processes import Process


def test_a_picture_takes_a_few_times_its_pixels_and_one_that_is_too_large_takes_nothing():
    process = Process("tests.faults.served_pictures", [])
    said, told = process.communicate()
    assert process.returncode == 0, told[-3000:]
    for name, (label, grown) in json.loads(said.splitlines()[-1]).items():
        width, height, _, _, bytes_a_pixel = PICTURES.get(name, PICTURES["RGB, small"])
        pixels = width * height / 1e6
        assert bool(label) == (pixels * bytes_a_pixel <= 150), name
        # Decoded with transparency, and twice without, in 8 bits; 60 MB for all that is not the picture.
        assert grown < 60 + (10 * pixels if label else 0), (name, grown)
