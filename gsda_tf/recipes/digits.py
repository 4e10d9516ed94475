"""Digits with a small network from scratch: printed, handwritten, MNIST, USPS and street view house numbers.

    python -m launch.train --task=digits/Fo_Ha
    python -m launch.train --task=digits/Mn_Us --augmentation=digits --precision=mixed_bfloat16

The first needs no download and takes three and a half minutes on two busy CPU cores (README.md). Measured over three
seeds: Fo_Ha 80.3 ± 9.5 % with GSDA, 63.6 ± 0.1 % with source only. The second takes fourteen minutes on one core;
measured over five seeds: Mn_Us 99.1 ± 0.2 %, Us_Mn 98.0 ± 0.2 % (docs/results.md, "Digits").
"""

SETTINGS = {
    "extractor": "small_cnn",
    "weights": "none",
    "image_size": 8,
    "resize_size": 8,
    "augmentation": "none",
    "source_batch": 64,
    "target_batch": 64,
    "evaluation_batch": 512,
    "bottleneck_units": 128,
    "discriminator_units": (256,),
    "backbone_rate": 1.0,  # nothing in it was learnt before
    "num_groups": (3,),
    "alpha": 0.1,
    "steps": 3000,
}
_DOMAINS = ("Fo", "Ha", "Mn", "Us", "Sv")
# Fo and Ha are 8x8. As soon as one of the others takes part, its pixels are worth keeping.
TASKS = {
    f"{source}_{target}": {"image_size": 32, "resize_size": 32, "steps": 10_000}
    for source in _DOMAINS
    for target in _DOMAINS
    if source != target and {source, target} != {"Fo", "Ha"}
}
