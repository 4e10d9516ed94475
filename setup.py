"""What pyproject.toml cannot say: all packages there are, and that the commands become one of them."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["gsda_tf", "gsda_tf.*"]), "gsda_tf.launch"],
    package_dir={"gsda_tf.launch": "launch"},
)
