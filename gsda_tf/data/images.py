"""From an encoded image to what the network sees: decoding, cropping and resizing in one go.

The published recipe resizes an image to a square and crops from that. Here the crop is mapped back through the
first resize, so that each image is resized once, straight from the pixels of the crop, which are all that is
decoded. A JPEG is moreover decoded at 1/2, 1/4 or 1/8 of its size where that still holds the detail asked for.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from gsda_tf.data.augmentation import AUGMENTATIONS, random_box

MAX_PIXELS = 100_000_000
"""An image with more pixels is refused before it is decoded: its header may lie, to exhaust memory."""

_JPEG, _PNG, _GIF, _BMP = b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM"
_BILINEAR_UP_TO = 1.5
# Up to this many pixels for one, sampling between the nearest four differs little from a filter that averages,
# and takes half the time.


@dataclasses.dataclass(frozen=True)
class ImageGeometry:
    """Sizes in pixels: the network's input, and the square that images are resized to before the crop."""

    image_size: int
    resize_size: int


def training_image(
    record: tf.Tensor, encoded: bool, geometry: ImageGeometry, augmentation: str, seed: tf.Tensor
) -> tf.Tensor:
    """One image as training sees it.

    Args:
      record: string scalar, the bytes of an image file, or uint8 [h, w, 3].
      encoded: which of the two.
      geometry: sizes.
      augmentation: a name in `AUGMENTATIONS`.
      seed: int32 or int64 [2]; all that is random follows from it.

    Returns:
      uint8 [S, S, 3].
    """
    chosen = AUGMENTATIONS[augmentation]
    if chosen.random_crop:
        box, flip = random_box(seed)
        if encoded:
            image = _crop_encoded(record, box, geometry)
        else:
            image = _resize(_slice_box(record, box), geometry.image_size)
        # Whether to flip is data here: a branch would cost more than the flip.
        image = tf.raw_ops.Reverse(tensor=image, dims=tf.stack([False, flip, False]))
    else:
        image = evaluation_image(record, encoded, geometry)
    if chosen.change is not None:
        image = chosen.change(image, seed)
    return tf.ensure_shape(image, [geometry.image_size, geometry.image_size, 3])


def evaluation_image(record: tf.Tensor, encoded: bool, geometry: ImageGeometry) -> tf.Tensor:
    """One image as evaluation and serving see it: resized to a square, centre crop. TensorFlow operations only.

    Args:
      record: string scalar, the bytes of an image file, or uint8 [h, w, 3].
      encoded: which of the two.
      geometry: sizes. Pixels that have the network's size already are left as they are.

    Returns:
      uint8 [S, S, 3].
    """
    if not encoded:
        return evaluation_pixels(record[None], geometry)[0]

    def jpeg() -> tf.Tensor:
        shape = _jpeg_shape(record)
        shrink = tf.reduce_min(shape) / geometry.resize_size
        return _at_ratio(shrink, lambda ratio: _centre_of_jpeg(record, shape, ratio, geometry))

    return tf.cond(_is_jpeg(record), jpeg, lambda: _centre(_decode_other(record), geometry))


def evaluation_pixels(images: tf.Tensor, geometry: ImageGeometry) -> tf.Tensor:
    """`evaluation_image` for a batch of decoded images of one size.

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


def decode(record: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG, PNG, GIF (its first frame) or BMP.

    Grey and CMYK become RGB, 16 bits a channel become 8, transparency is dropped.

    Args:
      record: string scalar.

    Returns:
      uint8 [h, w, 3].

    Raises:
      tf.errors.InvalidArgumentError: not such a file, damaged, or of more than `MAX_PIXELS` pixels.
    """

    def jpeg() -> tf.Tensor:
        with tf.control_dependencies([_jpeg_shape(record)]):
            return tf.io.decode_jpeg(record, channels=3, dct_method=_DCT)

    return tf.cond(_is_jpeg(record), jpeg, lambda: _decode_other(record))


def _decode_other(record: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([_other_shape(record)]):
        return tf.io.decode_image(record, channels=3, expand_animations=False)


_RATIOS = (1, 2, 4, 8)
_DCT = "INTEGER_ACCURATE"


def _is_jpeg(record: tf.Tensor) -> tf.Tensor:
    return tf.equal(tf.strings.substr(record, 0, 3), _JPEG)


def _jpeg_shape(record: tf.Tensor) -> tf.Tensor:
    """Height and width by the header, int32 [2], refused if too large to decode."""
    return _allowed(tf.io.extract_jpeg_shape(record)[:2])


def _other_shape(record: tf.Tensor) -> tf.Tensor:
    """The same for PNG, GIF and BMP."""

    def number(start: int, big_endian: bool, kind: tf.DType) -> tf.Tensor:
        raw = tf.io.decode_raw(tf.strings.substr(record, start, kind.size), kind, little_endian=not big_endian)
        # A header that is cut short: decoding says so.
        return tf.cast(tf.concat([raw, tf.zeros([1], kind)], 0)[0], tf.int32)

    def is_a(start: bytes) -> tf.Tensor:
        return tf.equal(tf.strings.substr(record, 0, len(start)), start)

    shape = tf.case(
        [
            (is_a(_PNG), lambda: tf.stack([number(20, True, tf.int32), number(16, True, tf.int32)])),
            (is_a(_GIF), lambda: tf.stack([number(8, False, tf.uint16), number(6, False, tf.uint16)])),
            (is_a(_BMP), lambda: tf.abs(tf.stack([number(22, False, tf.int32), number(18, False, tf.int32)]))),
        ],
        default=lambda: tf.zeros([2], tf.int32),
    )
    return _allowed(shape)


def _allowed(shape: tf.Tensor) -> tf.Tensor:
    """`shape`, refused if that is too much to decode."""
    pixels = tf.reduce_prod(tf.cast(shape, tf.float32))
    fine = tf.debugging.assert_less_equal(
        pixels, float(MAX_PIXELS), f"an image of more than {MAX_PIXELS:,} pixels is not decoded"
    )
    with tf.control_dependencies([fine] if fine is not None else []):
        return tf.identity(shape)


def _at_ratio(shrink: tf.Tensor, decode_at: Callable[[int], tf.Tensor]) -> tf.Tensor:
    """`decode_at` the largest ratio that a JPEG can be decoded at when `shrink` pixels become one in the end."""

    def at_least(ratio: int) -> tf.Tensor:
        if ratio == _RATIOS[-1]:
            return decode_at(ratio)
        return tf.cond(shrink < 2 * ratio, lambda: decode_at(ratio), lambda: at_least(2 * ratio))

    return at_least(1)


def _crop_encoded(record: tf.Tensor, box: tf.Tensor, geometry: ImageGeometry) -> tf.Tensor:
    """A box of an image file, uint8 [S, S, 3].

    The common case, a JPEG whose box is not much larger than the result, takes one branch. All else is a function
    of its own: branches not taken cost time too, if they are part of the same graph.
    """
    size = geometry.image_size
    is_jpeg = _is_jpeg(record)
    shape = tf.io.extract_jpeg_shape(tf.where(is_jpeg, record, _any_jpeg()))[:2]
    small = tf.reduce_max(tf.cast(shape, tf.float32) * box[2:]) <= _BILINEAR_UP_TO * size

    def common() -> tf.Tensor:
        # No larger than the result over the smallest side of a box: no danger to memory.
        window = _pixel_box(shape, box)
        pixels = tf.image.decode_and_crop_jpeg(record, window, channels=3, dct_method=_DCT)
        return _rounded(tf.image.resize(pixels, [size, size]))

    @tf.function(
        input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([4], tf.float32)],
        autograph=False,
        experimental_attributes={"_noinline": True},
    )
    def general(record: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
        return _resize(crop_pixels(record, box, geometry), size)

    return tf.cond(is_jpeg & small, common, lambda: general(record, box))


@functools.lru_cache(maxsize=1)
def _any_jpeg() -> bytes:
    """A JPEG to look at in place of a file that is none."""
    with tf.init_scope():
        return tf.io.encode_jpeg(tf.zeros([1, 1, 3], tf.uint8)).numpy()


def crop_pixels(record: tf.Tensor, box: tf.Tensor, geometry: ImageGeometry) -> tf.Tensor:
    """The pixels of a box (y, x, height, width in parts of the image), uint8 [h, w, 3].

    A JPEG is scaled while it is decoded, where more pixels than the result needs lie in the box.
    """

    def jpeg() -> tf.Tensor:
        shape = _jpeg_shape(record)
        size = tf.cast(shape, tf.float64)
        # The recipe sees the whole image in resize_size pixels and the box in image_size: more is not needed.
        shrink = tf.maximum(
            tf.reduce_min(size) / geometry.resize_size,
            tf.reduce_min(size * tf.cast(box[2:], tf.float64)) / geometry.image_size,
        )

        def scaled(ratio: int) -> tf.Tensor:
            window = _pixel_box(-(-shape // ratio), box)
            return tf.image.decode_and_crop_jpeg(record, window, channels=3, ratio=ratio, dct_method=_DCT)

        return _at_ratio(shrink, scaled)

    return tf.cond(_is_jpeg(record), jpeg, lambda: _slice_box(_decode_other(record), box))


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


def _centre_of_jpeg(record: tf.Tensor, shape: tf.Tensor, ratio: int, geometry: ImageGeometry) -> tf.Tensor:
    """Resized to a square and cropped, of a JPEG decoded at 1/ratio, only as far as the crop reaches."""
    shape = -(-shape // ratio)
    step = tf.cast(shape, tf.float32) / geometry.resize_size
    margin = (geometry.resize_size - geometry.image_size) // 2
    reach = tf.maximum(step, 1.0) + 1.0  # of the filter, beyond the centre of the outermost pixel
    first = tf.maximum(tf.cast(tf.floor(margin * step - reach), tf.int32), 0)
    last = tf.minimum(tf.cast(tf.math.ceil((margin + geometry.image_size) * step + reach), tf.int32), shape)
    window = tf.concat([first, last - first], 0)
    pixels = tf.image.decode_and_crop_jpeg(record, window, channels=3, ratio=ratio, dct_method=_DCT)
    return _scale(pixels[None], 1 / step, margin - tf.cast(first, tf.float32) / step, geometry.image_size)[0]


def _centre(pixels: tf.Tensor, geometry: ImageGeometry) -> tf.Tensor:
    """Resized to a square and cropped: uint8 [..., h, w, 3] -> uint8 [..., S, S, 3]."""
    single = pixels.shape.rank == 3
    batch = pixels[None] if single else pixels
    scale = geometry.resize_size / tf.cast(tf.shape(batch)[1:3], tf.float32)
    margin = tf.fill([2], float((geometry.resize_size - geometry.image_size) // 2))
    image = _scale(batch, scale, margin, geometry.image_size)
    return image[0] if single else image


def _scale(batch: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, size: int) -> tf.Tensor:
    """`size` pixels from `offset` on of the images scaled by `scale`, as tf.image.resize(antialias=True) gives them."""
    image = tf.raw_ops.ScaleAndTranslate(
        images=batch,
        size=[size, size],
        scale=scale,
        translation=-offset,
        kernel_type="triangle",
        antialias=True,
    )
    return _rounded(image)


def _rounded(image: tf.Tensor) -> tf.Tensor:
    """float32 in 0..255 to uint8. Weights of the filters are never negative, so nothing needs clipping."""
    return tf.cast(image + 0.5, tf.uint8)
