"""DomainNet with a ResNet-50 that is trained whole: thirty tasks between six domains of 345 classes.

    python -m launch.train --task=domainnet/Re_Sk

Not measured: 30,000 steps of such a network take days on a CPU (BUILD.md, "Speed").
"""

# The network and its images are those of settings.py: a ResNet-50 of ImageNet at 224 pixels.
SETTINGS = {
    "steps": 30_000,
    # Two levels of groups, each group of the finer one holding five classes; and discriminators a tenth of the usual
    # size, because there are 430 of them.
    "num_groups": (15, 69),
    "discriminator_units": (256, 256),
}
