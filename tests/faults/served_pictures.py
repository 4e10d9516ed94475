"""Peak memory of the served model over pictures: `python -m tests.faults.served_pictures`, MB for each as JSON."""

import json
import struct
import zlib

import tensorflow as tf

from gsda_tf.data.images import ImageGeometry
from gsda_tf.serving.module import ServingModule
from tests.data.pictures import png_chunk
from tests.serving.test_export import NAMES, _networks

PICTURES = {
    "RGB, small": (8, 8, 8, 2, 3),
    "RGBA": (3000, 3000, 8, 6, 4),
    "RGBA of 16 bits": (2000, 2000, 16, 6, 8),
    "RGBA of 16 bits, 50 million": (7000, 7100, 16, 6, 8),
    "RGB of 16 bits, 30 million": (5000, 6000, 16, 2, 6),
}
"""Width, height, bits, colour type, bytes a pixel."""


def chunks() -> dict[str, bytes]:
    """What a small picture may have besides, which is not wanted."""
    text = zlib.compress(bytes(7_900_000))  # as much as libpng unpacks of one
    frame = struct.pack(">IIIIHHBB", 8, 8, 0, 0, 1, 1, 0, 0)
    return {
        "packed texts": b"".join(png_chunk(b"zTXt", b"%d\0\0" % i + text) for i in range(4)),
        "a profile": png_chunk(b"iCCP", b"x\0\0" + zlib.compress(struct.pack(">I", 10**8) + bytes(10**8), 1)),
        "frames": png_chunk(b"acTL", struct.pack(">II", 10_000, 0))
        + b"".join(png_chunk(b"fcTL", struct.pack(">I", i) + frame) for i in range(10_000)),
    }


def png(width: int, height: int, depth: int, colour: int, bytes_a_pixel: int, more: bytes = b"") -> bytes:
    row, packer = bytes(1 + width * bytes_a_pixel), zlib.compressobj(1)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pieces = png_chunk(b"IHDR", header), more, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


def _memory(name: str) -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) / 1000


if __name__ == "__main__":
    ask = ServingModule(*_networks(), NAMES, ImageGeometry(16, 18)).signatures()["serving_default"]
    grown = {}
    ask(image_bytes=tf.constant([png(*PICTURES["RGBA of 16 bits"])] * 2))  # what is made once is there
    small = PICTURES["RGB, small"]
    records = {name: png(*picture) for name, picture in PICTURES.items()}
    records.update({name: png(*small, more) for name, more in chunks().items()})
    for name, record in records.items():
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak begins anew
        before = _memory("VmRSS")
        label = ask(image_bytes=tf.constant([record]))["label"].numpy()[0].decode()
        grown[name] = [label, _memory("VmHWM") - before]
    print(json.dumps(grown))
