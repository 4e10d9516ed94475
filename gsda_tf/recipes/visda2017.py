"""VisDA-2017 with a ResNet-50 that is trained whole: from rendered models to photographs.

    python -m launch.train --task=visda2017/Sy_Re --manual_dir=downloads

Not measured with these values: a step takes some 11 seconds on two CPU cores (BUILD.md, "Speed"), 30,000 of them days.
The paper has 81.5 % in the mean over the twelve classes.
"""

# The network and its images are those of settings.py: a ResNet-50 of ImageNet at 224 pixels.
SETTINGS = {
    "steps": 30_000,
    "num_groups": (4,),
    "alpha": 0.2,
    "beta": 10.0,
}
