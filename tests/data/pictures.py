"""Image files made up for the tests."""

from __future__ import annotations

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


def saved(pixels: np.ndarray, kind: str, mode: str | None = None, **options) -> bytes:
    """Pixels as a file of that kind."""
    file = io.BytesIO()
    Image.fromarray(pixels, mode).save(file, kind, **options)
    return file.getvalue()


def oriented(orientation: int, pixels: np.ndarray, kind: str = "JPEG") -> bytes:
    """A file that is seen as `pixels`, uint8 [h, w, 3], stored as a camera held otherwise stores it."""
    # Of the EXIF standard: which side of what is seen the first row and the first column of what is stored are.
    stored = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.swapaxes(0, 1),
        6: lambda x: x[:, ::-1].swapaxes(0, 1),
        7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
        8: lambda x: x[::-1].swapaxes(0, 1),
    }[orientation](pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    return saved(np.ascontiguousarray(stored), kind, exif=exif, **options)


def odd_files() -> dict[str, bytes]:
    """A file of each format and mode that is not what most are."""
    rgb, grey = picture(5), picture(6)[..., 0]
    alpha = np.dstack([rgb, grey])
    deep = grey.astype(np.uint16) * 257
    palette = Image.fromarray(rgb).quantize(16)

    def indexed(kind: str, **options) -> bytes:
        file = io.BytesIO()
        palette.save(file, kind, **options)
        return file.getvalue()

    return {
        "a.webp": saved(rgb, "WEBP", lossless=True),
        "alpha.webp": saved(alpha, "WEBP", lossless=True, exact=True),
        "b.tif": saved(rgb, "TIFF"),
        "packed.tiff": saved(rgb, "TIFF", compression="tiff_lzw"),
        "deep.tif": saved(deep, "TIFF"),
        "c.bmp": saved(rgb, "BMP"),
        "palette.bmp": indexed("BMP"),
        "d.gif": indexed("GIF"),
        "e.ppm": saved(rgb, "PPM"),
        "alpha.png": saved(alpha, "PNG"),
        "grey alpha.png": saved(alpha[..., 2:], "PNG"),
        "palette.png": indexed("PNG", transparency=3),
        "deep.png": saved(deep, "PNG"),
        "cmyk.jpg": encoded(mode="CMYK"),
        "turned.jpg": oriented(6, rgb),
        "turned.png": oriented(3, rgb, "PNG"),
    }


def png_chunk(name: bytes, content: bytes) -> bytes:
    """A chunk with its right check sum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bomb(width: int = 20_000, height: int = 20_000) -> bytes:
    """A PNG of a few hundred bytes whose header says that it is huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


def frames(*sizes: tuple[int, int]) -> bytes:
    """A GIF whose screen is 10x10 and whose frames have other sizes, (width, height); large ones lack their pixels."""
    out = b"GIF89a" + struct.pack("<HHBBB", 10, 10, 0x80, 0, 0) + bytes(6)
    for width, height in sizes:
        out += b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x07"
        # Codes of 8 bits are bytes, as long as the table is emptied (0x80) before it needs a ninth bit.
        count = min(width * height, 10_000)
        runs = [100] * (count // 100) + [count % 100]
        out += b"".join(bytes([run + 1, 0x80]) + bytes(run) for run in runs) + b"\x01\x81\0"
    return out + b";"


def scans(more: int) -> bytes:
    """A progressive JPEG of 64x64 pixels and 10 scans, the last of which comes so many times more."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    return whole[:-2] + whole[whole.rindex(b"\xff\xc4") : -2] * more + whole[-2:]


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
