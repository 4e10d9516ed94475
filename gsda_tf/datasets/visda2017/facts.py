"""VisDA-2017, classification: 12 classes, rendered (train) and real (validation) images (Peng et al., 2017)."""

from gsda_tf.datasets.preparing.image_set import ImageSet

IMAGE_SET = ImageSet(
    name="visda2017",
    title="VisDA-2017",
    class_names=(
        "aeroplane",
        "bicycle",
        "bus",
        "car",
        "horse",
        "knife",
        "motorcycle",
        "person",
        "plant",
        "skateboard",
        "train",
        "truck",
    ),
    domains={
        "train": ("train",),
        "validation": ("validation", "val"),
    },
    # Images of each class, in the order of the names.
    counts={
        "train": (
            14309,
            7365,
            16640,
            12800,
            9512,
            14240,
            17360,
            12160,
            10371,
            11680,
            16000,
            9960,
        ),
        "validation": (
            3646,
            3475,
            4690,
            10401,
            4691,
            2075,
            5796,
            4000,
            4549,
            2281,
            4236,
            5548,
        ),
    },
    archives="train.tar and validation.tar of the classification track",
    home="https://github.com/VisionLearningGroup/taskcv-2017-public",
)
