"""Office-31 open: the source has ten classes, the target these and eleven others, which are to be called unknown.

    python -m launch.train --task=office31_open/A_W --manual_dir=downloads --extractor=densenet169 --freeze_backbone

Measured with features of the frozen DenseNet-169: docs/results.md, "Unknown classes".
"""

# The network and its images are those of settings.py: a ResNet-50 of ImageNet at 224 pixels. Four groups of ten classes
# were not compared with other numbers.
SETTINGS = {"unknown": "reject", "steps": 20_000, "num_groups": (4,)}
