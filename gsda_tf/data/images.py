"""From an encoded image to what the network sees: decoding, cropping and resizing in one go.

The published recipe resizes an image to a square and crops from that. Here the crop is mapped back through the
first resize, so that each image is resized once, straight from the pixels of the crop; of a random crop no others are
decoded. A JPEG is moreover decoded at the smallest of 1/1, 1/2, 1/4 and 1/8 of its size at which it is still as
large as that square. So every crop of an image is cut from the same pixels.

Encoded images are JPEG or PNG: `image_files.plain` makes these of all others.

The result is not bit for bit that of the plain recipe, which filters twice; `tests/data/test_images.py` holds how
far apart the two may be on average over a made-up image.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from gsda_tf.data.augmentation import AUGMENTATIONS, random_box

MAX_PIXELS = 100_000_000
"""An image with more pixels, all frames together, is refused before it is decoded: to exhaust memory takes a header."""

MAX_SCANNED = 10 * MAX_PIXELS
"""The same for scans times pixels of a JPEG: each passes over all pixels, and may be repeated for some bytes."""

SCAN_START = b"\xff\xda\x00"
_PIXELS_A_SCAN = 1_000_000
# The least that a scan counts for: each takes some time, however small the image.

RULES = 3
"""Raised when the same file becomes other pixels: what was kept of it before is not used any more."""

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"

_PIXELS_AT_ONCE = 2**20
# So many are laid over the background at a time.

BACKGROUND = 255
"""Grey value that shows through where an image is transparent: white."""

_BILINEAR_UP_TO = 1.5
# Up to this many pixels for one, sampling between the nearest four differs little from a filter that averages,
# and takes half the time.


@dataclasses.dataclass(frozen=True)
class ImageGeometry:
    """Sizes in pixels: the network's input, and the square that images are resized to before the crop.

    Attributes:
      image_size: of the input.
      resize_size: of the square.
      max_bytes: of an encoded image's pixels, all channels in their depth; one with more is refused.
    """

    image_size: int
    resize_size: int
    max_bytes: int = 8 * MAX_PIXELS


@functools.cache
def decoding(geometry: ImageGeometry, augmentation: str | None = None) -> tf.types.experimental.ConcreteFunction:
    """`seen` of files, (bytes, seed int64 [2]) -> pixels. Traced once: it takes a second, all evaluations need it."""
    with tf.init_scope():
        return tf.function(
            lambda record, seed: seen(record, geometry, augmentation, seed),
            input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([2], tf.int64)],
            autograph=False,
        ).get_concrete_function()


def seen(
    image: tf.Tensor, geometry: ImageGeometry, augmentation: str | None = None, seed: tf.Tensor | None = None
) -> tf.Tensor:
    """One image as training sees it; without an augmentation as evaluation and serving do. TensorFlow operations only.

    Args:
      image: string scalar, the bytes of a JPEG or PNG file, or uint8 [h, w, 3].
      geometry: sizes. Pixels that have the network's size already are left as they are, if they come from no file.
      augmentation: a name in `AUGMENTATIONS`; None: resized to a square, centre crop.
      seed: int32 or int64 [2]; all that is random follows from it.

    Returns:
      uint8 [S, S, 3].
    """
    chosen, encoded = AUGMENTATIONS[augmentation or "none"], image.dtype == tf.string
    if chosen.random_crop:
        box, flip = random_box(seed)
        image = _resize(crop_pixels(image, box, geometry) if encoded else _slice_box(image, box), geometry.image_size)
        # Whether to flip is data here: a branch would cost more than the flip.
        image = tf.raw_ops.Reverse(tensor=image, dims=tf.stack([False, flip, False]))
    elif encoded:
        image = _centre(decode(image, geometry)[None], geometry)[0]
    else:
        image = evaluation_pixels(image[None], geometry)[0]
    if chosen.change is not None:
        image = chosen.change(image, seed)
    return tf.ensure_shape(image, [geometry.image_size, geometry.image_size, 3])


def evaluation_pixels(images: tf.Tensor, geometry: ImageGeometry) -> tf.Tensor:
    """Images of one size as evaluation sees them: resized to a square, centre crop.

    Args:
      images: uint8 [N, h, w, 3].
      geometry: sizes. Images that have the network's size already are left as they are.

    Returns:
      uint8 [N, S, S, 3].
    """
    images = tf.convert_to_tensor(images)
    size = geometry.image_size
    if images.shape[1:3].as_list() == [size, size]:
        return images
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    fits = tf.logical_and(tf.equal(height, size), tf.equal(width, size))
    result = tf.cond(fits, lambda: images, lambda: _centre(images, geometry))
    return tf.ensure_shape(result, [None, size, size, 3])


def decode(record: tf.Tensor, geometry: ImageGeometry | None = None) -> tf.Tensor:
    """Decodes a JPEG or PNG.

    Grey and CMYK become RGB, 16 bits a channel become the upper 8, what is transparent shows `BACKGROUND`.

    Args:
      record: string scalar.
      geometry: for the pixels that every crop of the image is cut from, a JPEG perhaps at a part of its size. None: at
        its own size.

    Returns:
      uint8 [h, w, 3].

    Raises:
      tf.errors.InvalidArgumentError: not such a file, damaged, or of more than `MAX_PIXELS` pixels.
    """
    max_bytes = ImageGeometry.max_bytes if geometry is None else geometry.max_bytes

    def jpeg() -> tf.Tensor:
        shape = _jpeg_shape(record, max_bytes)

        def at(ratio: int) -> tf.Tensor:
            with tf.control_dependencies([shape]):
                return tf.image.decode_jpeg(record, channels=3, ratio=ratio, dct_method=_DCT)

        return at(1) if geometry is None else _at_ratio(shape, geometry, at)

    return tf.cond(_is_jpeg(record), jpeg, lambda: _decode_png(record, max_bytes))


def _decode_png(record: tf.Tensor, max_bytes: int) -> tf.Tensor:
    """uint8 [h, w, 3]; what is transparent shows `BACKGROUND`."""
    with tf.control_dependencies([_png_shape(record, max_bytes)]):
        record = tf.identity(record)

    def composed() -> tf.Tensor:
        pixels = tf.io.decode_png(record, channels=4)
        height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
        rows = tf.maximum(_PIXELS_AT_ONCE // width, 1)

        def strip(first: tf.Tensor, done: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            part = tf.cast(pixels[first : first + rows], tf.int32)
            over = part[..., :3] * part[..., 3:] + BACKGROUND * (255 - part[..., 3:])
            return first + rows, done.write(first // rows, tf.cast((over + 127) // 255, tf.uint8))

        # In strips: whole, the numbers between take ten times the memory of the image.
        strips = tf.TensorArray(tf.uint8, -(-height // rows), infer_shape=False, element_shape=[None, None, 3])
        _, strips = tf.while_loop(lambda first, _: first < height, strip, (0, strips), parallel_iterations=1)
        return strips.concat()

    return tf.cond(_has_alpha(record), composed, lambda: tf.io.decode_png(record, channels=3))


def _has_alpha(record: tf.Tensor) -> tf.Tensor:
    before_pixels = tf.strings.split(record[None], b"IDAT").flat_values[0]
    has_alpha = tf.reduce_any(tf.equal(tf.strings.substr(record, 25, 1), [b"\x04", b"\x06"]))
    return has_alpha | (tf.size(tf.strings.split(before_pixels[None], b"tRNS").flat_values) > 1)


_RATIOS = (1, 2, 4, 8)
_DCT = "INTEGER_ACCURATE"


def _is_jpeg(record: tf.Tensor) -> tf.Tensor:
    return tf.equal(tf.strings.substr(record, 0, 3), JPEG)


def _jpeg_shape(record: tf.Tensor, max_bytes: int) -> tf.Tensor:
    """Height and width by the header, int32 [2], refused if too large to decode."""
    shape = _allowed(tf.io.extract_jpeg_shape(record)[:2], 3.0, max_bytes)
    scans = tf.size(tf.strings.split(record[None], SCAN_START).flat_values) - 1
    scanned = tf.cast(scans, tf.float32) * tf.maximum(_pixels(shape), float(_PIXELS_A_SCAN))
    fine = tf.debugging.assert_less_equal(scanned, float(MAX_SCANNED), "a JPEG of so many scans is not decoded")
    with tf.control_dependencies([fine]):
        return tf.identity(shape)


def too_many_scans(scans: int, pixels: int) -> bool:
    """True if a JPEG is refused for its scans, as decoding refuses it."""
    return scans * max(pixels, _PIXELS_A_SCAN) > MAX_SCANNED


def _png_shape(record: tf.Tensor, max_bytes: int) -> tf.Tensor:
    """The same of a PNG."""
    is_png = tf.equal(tf.strings.substr(record, 0, len(PNG)), PNG) & (tf.strings.length(record) > 26)
    known = tf.debugging.Assert(is_png, ["neither JPEG nor PNG"])
    with tf.control_dependencies([known]):
        shape = tf.io.decode_raw(tf.strings.substr(record, 16, 8), tf.int32, little_endian=False)[::-1]
    depth = tf.where(tf.equal(tf.strings.substr(record, 24, 1), b"\x10"), 2.0, 1.0)
    return _allowed(shape, depth * tf.where(_has_alpha(record), 4.0, 3.0), max_bytes)


def _allowed(shape: tf.Tensor, bytes_a_pixel: float | tf.Tensor, max_bytes: int) -> tf.Tensor:
    """`shape`, refused if that is too much to decode."""
    pixels = _pixels(shape)
    small = (pixels <= float(MAX_PIXELS)) & (pixels * bytes_a_pixel <= float(max_bytes)) & tf.reduce_all(shape > 0)
    fine = tf.debugging.Assert(small, [f"an image of more than {MAX_PIXELS:,} pixels is not decoded"])
    with tf.control_dependencies([fine]):
        return tf.identity(shape)


def _pixels(shape: tf.Tensor) -> tf.Tensor:
    return tf.reduce_prod(tf.cast(shape, tf.float32))


def _at_ratio(shape: tf.Tensor, geometry: ImageGeometry, decode_at: Callable[[int], tf.Tensor]) -> tf.Tensor:
    """`decode_at` the largest ratio at which a JPEG of that shape is not smaller than the square it is resized to."""
    shrink = tf.reduce_min(shape) / geometry.resize_size

    def at_least(ratio: int) -> tf.Tensor:
        if ratio == _RATIOS[-1]:
            return decode_at(ratio)
        return tf.cond(shrink < 2 * ratio, lambda: decode_at(ratio), lambda: at_least(2 * ratio))

    return at_least(1)


def _window_of_jpeg(record: tf.Tensor, shape: tf.Tensor, window: tf.Tensor, ratio: int) -> tf.Tensor:
    """A window (y, x, height, width) of a JPEG that has `shape` at 1/ratio, as slicing the whole image gives it.

    The decoder interpolates colours between columns, which it cannot do at the edges of what it decodes: one more
    column on each side is decoded, and dropped.
    """
    left = tf.maximum(window[1] - 1, 0)
    right = tf.minimum(window[1] + window[3] + 1, shape[1])
    wider = tf.stack([window[0], left, window[2], right - left])
    pixels = tf.image.decode_and_crop_jpeg(record, wider, channels=3, ratio=ratio, dct_method=_DCT)
    return pixels[:, window[1] - left : window[1] - left + window[3]]


def crop_pixels(record: tf.Tensor, box: tf.Tensor, geometry: ImageGeometry) -> tf.Tensor:
    """The pixels of a box (y, x, height, width in parts of the image), uint8 [h, w, 3].

    A JPEG is scaled while it is decoded, as `decode` for a geometry does it.
    """

    def jpeg() -> tf.Tensor:
        shape = _jpeg_shape(record, geometry.max_bytes)

        def scaled(ratio: int) -> tf.Tensor:
            small = -(-shape // ratio)
            return _window_of_jpeg(record, small, _pixel_box(small, box), ratio)

        return _at_ratio(shape, geometry, scaled)

    return tf.cond(_is_jpeg(record), jpeg, lambda: _slice_box(_decode_png(record, geometry.max_bytes), box))


def _pixel_box(shape: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """A box in parts of the image, to the nearest whole pixels; int32 [4]."""
    size = tf.cast(shape, tf.float32)
    start = tf.minimum(tf.cast(tf.round(box[:2] * size), tf.int32), shape - 1)
    end = tf.cast(tf.round((box[:2] + box[2:]) * size), tf.int32)
    return tf.concat([start, tf.clip_by_value(end - start, 1, shape - start)], 0)


def _slice_box(pixels: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    window = _pixel_box(tf.shape(pixels)[:2], box)
    return tf.image.crop_to_bounding_box(pixels, window[0], window[1], window[2], window[3])


def _resize(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """uint8 [h, w, 3] -> uint8 [size, size, 3], filtered where many pixels become one."""
    shape = tf.cast(tf.shape(pixels)[:2], tf.float32)
    image = tf.cond(
        tf.reduce_max(shape) <= _BILINEAR_UP_TO * size,
        lambda: tf.image.resize(pixels, [size, size]),
        lambda: tf.image.resize(pixels, [size, size], antialias=True),
    )
    return _rounded(image)


def _centre(batch: tf.Tensor, geometry: ImageGeometry) -> tf.Tensor:
    """Resized to a square and cropped: uint8 [N, h, w, 3] -> uint8 [N, S, S, 3]."""
    window, scale, offset = _centre_window(tf.shape(batch)[1:3], geometry)
    batch = batch[:, window[0] : window[0] + window[2], window[1] : window[1] + window[3]]
    return _scale(batch, scale, offset, geometry.image_size)


def _centre_window(shape: tf.Tensor, geometry: ImageGeometry) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes the part of an image for the centre crop: (window, scale of the resize, first pixel after it)."""
    step = tf.cast(shape, tf.float32) / geometry.resize_size
    margin = (geometry.resize_size - geometry.image_size) // 2
    reach = tf.maximum(step, 1.0) + 1.0  # of the filter, beyond the centre of the outermost pixel
    first = tf.maximum(tf.cast(tf.floor(margin * step - reach), tf.int32), 0)
    last = tf.minimum(tf.cast(tf.math.ceil((margin + geometry.image_size) * step + reach), tf.int32), shape)
    return tf.concat([first, last - first], 0), 1 / step, margin - tf.cast(first, tf.float32) / step


def _scale(batch: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, size: int) -> tf.Tensor:
    """`size` pixels from `offset` on of the images scaled by `scale`, as tf.image.resize(antialias=True) gives them."""
    filtered = {"kernel_type": "triangle", "antialias": True}
    return _rounded(
        tf.raw_ops.ScaleAndTranslate(images=batch, size=[size, size], scale=scale, translation=-offset, **filtered)
    )


def _rounded(image: tf.Tensor) -> tf.Tensor:
    """float32 in 0..255 to uint8. Weights of the filters are never negative, so nothing needs clipping."""
    return tf.cast(image + 0.5, tf.uint8)
