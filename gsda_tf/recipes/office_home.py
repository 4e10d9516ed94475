"""Office-Home with a ResNet-50 that is trained whole: twelve tasks between art, clip art, products and photographs.

    python -m launch.train --task=office_home/Ar_Pr --manual_dir=downloads

Not measured with these values: a step takes 9 to 14 seconds on two CPU cores (BUILD.md, "Speed"), 30,000 of them days.
The paper has 70.3 % in the mean of the twelve tasks.
"""

# The network and its images are those of settings.py: a ResNet-50 of ImageNet at 224 pixels.
SETTINGS = {
    "steps": 30_000,
    "num_groups": (13,),  # alpha and beta of the paper are the defaults of GSDA's options, 0.02 and 1
}
