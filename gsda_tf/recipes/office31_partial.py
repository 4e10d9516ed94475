"""Office-31 partial: the source has all 31 classes, the target the ten that are shared with Caltech-256.

    python -m launch.train --task=office31_partial/A_W --manual_dir=downloads --extractor=densenet169 --freeze_backbone

Measured with the frozen DenseNet-169 and a bottleneck of 256, 1,000 steps, discriminators of 64, three seeds, in the
mean of the six tasks: GSDA 94.5 %, source only 88.5 %. With MobileNet 0.75 and `--train_from=stage5`, 300 steps: GSDA
87.9 %, source only 79.3 %, about a minute and a half a run on one CPU core (docs/results.md, docs/trials.md).
"""

# The network and its images are those of settings.py: a ResNet-50 of ImageNet at 224 pixels.
SETTINGS = {
    "steps": 20_000,
    "num_groups": (6,),
    "beta": 10.0,
    # The paper's alpha is ten times Office-31's. From the first step, it would hold the target to what a classifier
    # that knows nothing yet says, now and then to classes that the target does not have, for good.
    "alpha": 0.2,
    "alpha_ramp": 40.0,
}
# Measured with the last stage trained, not the whole: docs/trials.md, "Partial targets".
TRAINED = {"alpha": 0.1, "alpha_ramp": 10.0}
