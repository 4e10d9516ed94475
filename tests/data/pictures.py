"""Image files made up for the tests."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from gsda_tf.settings import DataSettings


def picture(number: int = 0, height: int = 20, width: int = 24) -> np.ndarray:
    """A smooth picture that no other number has, uint8 [height, width, 3]."""
    colours = np.random.default_rng(number).integers(0, 256, (4, 5, 3), np.uint8)
    return np.asarray(Image.fromarray(colours).resize((width, height), Image.BILINEAR))


def encoded(kind: str = "JPEG", number: int = 0, mode: str = "RGB", **options) -> bytes:
    """A small file of that kind."""
    file = io.BytesIO()
    Image.fromarray(picture(number)).convert(mode).save(file, kind, **options)
    return file.getvalue()


def png_chunk(name: bytes, content: bytes) -> bytes:
    """A chunk with its right check sum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bomb(width: int = 20_000, height: int = 20_000) -> bytes:
    """A PNG of a few hundred bytes whose header says that it is huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def write_domain(top, counts: dict[str, int], first: int = 0) -> str:
    """One folder a class under `top`, with so many pictures in each; returns its path."""
    for name, count in counts.items():
        (top / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            first += 1
            (top / name / f"frame_{index:04d}.jpg").write_bytes(encoded(number=first))
    return str(top)


def folders(source, target, **more) -> DataSettings:
    """Settings of --pipeline=folders."""
    return DataSettings(pipeline="folders", source_dir=str(source), target_dir=str(target), **more)


def lists(source, target, **more) -> DataSettings:
    """Settings of --pipeline=lists."""
    return DataSettings(pipeline="lists", source_list=str(source), target_list=str(target), **more)
