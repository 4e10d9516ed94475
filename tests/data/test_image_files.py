"""What is an image file, and that every kind becomes the pixels that a person sees."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gsda_tf.data import image_files, images
from tests.data.pictures import bomb, encoded, odd_files, oriented, picture, png_chunk, saved, scans


def _pixels(record: bytes) -> np.ndarray:
    """As training, evaluation and export decode it."""
    return images.decode(tf.constant(image_files.plain(record))).numpy()


def _on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    weight = alpha[..., None] / 255
    return np.round(rgb * weight + 255 * (1 - weight)).astype(int)


def test_each_kind_becomes_the_pixels_that_it_holds():
    rgb, grey = picture(5), picture(6)[..., 0]
    files = odd_files()
    palette = np.asarray(Image.fromarray(rgb).quantize(16).convert("RGB")).astype(int)
    indices = np.asarray(Image.fromarray(rgb).quantize(16))
    expected = {name: rgb.astype(int) for name in ("a.webp", "b.tif", "packed.tiff", "c.bmp", "e.ppm", "turned.png")}
    expected |= {name: _on_white(rgb, grey) for name in ("alpha.webp", "alpha.png")}
    expected |= {name: np.repeat(grey[..., None].astype(int), 3, -1) for name in ("deep.tif", "deep.png")}
    expected |= {name: palette for name in ("palette.bmp", "d.gif")}
    expected["palette.png"] = np.where(indices[..., None] == 3, 255, palette)
    expected["grey alpha.png"] = _on_white(np.repeat(rgb[..., 2:], 3, -1), grey)
    lossy = {"cmyk.jpg", "turned.jpg"}
    assert set(files) == set(expected) | lossy
    for name, pixels in expected.items():
        assert np.abs(_pixels(files[name]) - pixels).max() <= 1, name
    assert np.abs(_pixels(files["turned.jpg"]).astype(int) - rgb).mean() < 2
    whole = np.asarray(Image.open(io.BytesIO(files["cmyk.jpg"])).convert("RGB")).astype(int)
    assert np.abs(_pixels(files["cmyk.jpg"]) - whole).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_photographs_are_seen_upright(orientation, kind):
    pixels = picture(3, 40, 56)
    record = oriented(orientation, pixels, kind)
    assert np.abs(_pixels(record).astype(int) - pixels).mean() < 4
    assert image_files.turned(record) == (orientation != 1)
    assert (image_files.plain(record) == record) == (orientation == 1 and kind in ("JPEG", "PNG"))


def test_pipeline_and_python_agree():
    for name, record in {**odd_files(), "plain.jpg": encoded(), "plain.png": encoded("PNG")}.items():
        graph = tf.function(image_files.plain_record, input_signature=[tf.TensorSpec([], tf.string)])
        assert graph(tf.constant(record)).numpy() == image_files.plain(record), name


def test_files_as_tensorflow_decodes_them_are_not_touched(monkeypatch):
    monkeypatch.setattr(image_files, "plain", None)
    for record in (encoded(), encoded("PNG"), encoded("PNG", mode="RGBA"), encoded("PNG", mode="P")):
        assert image_files.plain_record(tf.constant(record)).numpy() == record


def test_what_pillow_reads_is_halved_while_it_stays_large():
    large = Image.fromarray(picture(1)).resize((2100, 4300))
    for kind in ("TIFF", "BMP"):
        file = io.BytesIO()
        large.save(file, kind)
        assert _pixels(file.getvalue()).shape == (2150, 1050, 3)
    assert _pixels(oriented(8, np.asarray(large))).shape == (2150, 1050, 3)


_TURNED = b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06" + bytes(6)
_REFUSED = {
    "empty": (b"", "empty file"),
    "text": (b"no image", "that can be read, it begins with b'no image'"),
    "an icon": (encoded("ICO"), "that can be read"),
    "32 bits": (saved(np.ones([4, 4], np.float32), "TIFF"), "floating-point or 32-bit numbers"),
    "32-bit numbers": (saved(np.ones([4, 4], np.int32), "TIFF"), "floating-point or 32-bit numbers"),
    "a TIFF that is cut": (encoded("TIFF")[:400], "cannot be decoded"),
    "a WebP that is cut": (encoded("WEBP", lossless=True)[:-40], ""),
    "a GIF that is cut": (encoded("GIF")[:-200], "cannot be decoded"),
    "a BMP that is cut": (encoded("BMP")[:-200], "cannot be decoded"),
    "a bomb": (b"P6 20000 20000 255\n", "more than the 100,000,000 pixels"),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_what_cannot_be_read_is_told(case):
    record, reason = _REFUSED[case]
    with pytest.raises(image_files.BadImageError) as refused:
        image_files.plain(record)
    assert reason in str(refused.value) and "\n" not in str(refused.value)


def test_a_turned_file_is_bounded_like_any_other():
    """What Pillow would turn is refused before it is decoded."""
    large = bomb()[:33] + png_chunk(b"eXIf", _TURNED[10:]) + bomb()[33:]
    slow = scans(1000)[:2] + _TURNED + scans(1000)[2:]
    assert image_files.turned(scans(10)[:2] + _TURNED + scans(10)[2:])
    for record, reason in ((large, "100,000,000 pixels"), (slow, "so many scans")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
            _pixels(record)


def test_damaged_exif_data_do_not_make_an_image_bad():
    fine = encoded()
    for data in (b"", b"XX\0*\0\0\0\x08", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff" + bytes(20)):
        record = fine[:2] + b"\xff\xe1" + (len(data) + 8).to_bytes(2, "big") + b"Exif\0\0" + data + fine[2:]
        assert image_files.plain(record) == record
        np.testing.assert_array_equal(_pixels(record), _pixels(fine))


def test_names_that_tools_leave_behind():
    for name in ("@eaDir", "__MACOSX", "$RECYCLE.BIN", ".ipynb_checkpoints", "._x.jpg", "Thumbs.db", ".x.jpg"):
        assert image_files.left_behind(name) and not image_files.is_image(name)
    for name in ("a.JPG", "b.webp", "c.tif", "d.jfif", "e.PPM"):
        assert image_files.is_image(name)
    assert image_files.on_a_path_left_behind("cat/@eaDir/a.jpg/SYNO.jpg")
    assert image_files.on_a_path_left_behind("cat\\._a.jpg")
    assert not image_files.on_a_path_left_behind("/home/x/.cache/cat/a.jpg")


def _tiff(pixels: np.ndarray, kind: int = 1, extra: int | None = None) -> bytes:
    """A TIFF of [h, w, bands] whose numbers are unsigned (kind 1) or signed (2), by the specification of the format."""
    height, width, bands = pixels.shape
    data = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("<"))).tobytes()
    tags = [
        (256, [width]),
        (257, [height]),
        (258, [pixels.itemsize * 8] * bands),
        (259, [1]),
        (262, [2 if bands > 2 else 1]),
    ]
    tags += [(273, ["pixels"]), (277, [bands]), (278, [height]), (279, [len(data)]), (284, [1])]
    tags += [(338, [extra])] if extra is not None else []
    tags += [(339, [kind] * bands)]
    begin = 8 + 2 + 12 * len(tags) + 4
    room = b""
    lists = {tag: values for tag, values in tags if len(values) > 2}
    places = {}
    for tag, values in lists.items():
        places[tag] = begin + len(room)
        room += struct.pack(f"<{len(values)}H", *values)
    out = b"II*\0" + struct.pack("<IH", 8, len(tags))
    for tag, values in tags:
        if values == ["pixels"]:
            out += struct.pack("<HHII", tag, 4, 1, begin + len(room))
        elif tag == 279:
            out += struct.pack("<HHII", tag, 4, 1, values[0])
        elif tag in lists:
            out += struct.pack("<HHII", tag, 3, len(values), places[tag])
        else:
            out += struct.pack("<HHI", tag, 3, len(values)) + struct.pack(f"<{len(values)}H", *values).ljust(4, b"\0")
    return out + bytes(4) + room + data


def test_a_fourth_band_is_transparency_only_where_it_says_so():
    """Near infrared taken for transparency bleaches the colours."""
    four = np.dstack([picture(5), picture(6)[..., :1]])
    for extra in (None, 0):
        np.testing.assert_array_equal(_pixels(_tiff(four, extra=extra)), picture(5))
    record = _tiff(four, extra=2)
    assert np.abs(_pixels(record) - _on_white(picture(5), picture(6)[..., 0])).max() <= 1


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (_tiff(np.zeros([4, 4, 6], np.uint16)), "of one, three or four bands of 8 bits, or unsigned 16"),
        (_tiff(np.zeros([4, 4, 1], np.int16), kind=2), "TIFF of signed, floating-point or 32-bit numbers"),
        (
            _tiff(np.zeros([4, 4, 3], np.int16), kind=2),
            "of one, three or four bands of 8 bits, or unsigned 16",
        ),
    ],
)
def test_the_reason_is_true(record, reason):
    with pytest.raises(image_files.BadImageError) as refused:
        image_files.plain(record)
    assert reason in str(refused.value)
