"""Settings that the user gave and that cannot hold together: told, not silently passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gsda_tf.errors import UserError
from gsda_tf.settings import Settings

PIPELINES = {
    "task": "benchmark",
    "source_dir": "folders",
    "target_dir": "folders",
    "source_list": "lists",
    "target_list": "lists",
    "image_root": "lists",
}
_NEEDS_FROZEN = ("feature_crops", "feature_cache_dir")


def check_given(given: Mapping[str, Any], settings: Settings) -> None:
    """Looks for contradictions between what was given and what holds.

    Args:
      given: values by setting name, only those that the user gave.
      settings: of the run.

    Raises:
      UserError: naming both sides and what to do.
    """
    for name, pipeline in PIPELINES.items():
        if given.get(name) and settings.data.pipeline != pipeline:
            raise UserError(
                f"--{name}={given[name]} is for --pipeline={pipeline}, but --pipeline={settings.data.pipeline}: say "
                f"--pipeline={pipeline}, or leave --{name} out."
            )
    for name in _NEEDS_FROZEN:
        if given.get(name) and not settings.model.freeze_backbone:
            raise UserError(f"--{name}={given[name]} is for --freeze_backbone: say so, or leave --{name} out.")
    if given.get("groups_file") and given.get("num_groups"):
        raise UserError("--groups_file and --num_groups contradict each other: the file tells the groups. Give one.")
    _check_devices(settings)


def _check_devices(settings: Settings) -> None:
    device = settings.device
    for name in ("num_devices", "virtual_devices"):
        value = getattr(device, name)
        if value and device.strategy != "mirrored":
            raise UserError(
                f"--{name}={value} is for --strategy=mirrored, but --strategy={device.strategy}: say "
                f"--strategy=mirrored, or leave --{name} out."
            )
    if device.virtual_devices and device.num_devices > device.virtual_devices:
        raise UserError(
            f"--num_devices={device.num_devices} is more than --virtual_devices={device.virtual_devices}: expected at "
            "most as many."
        )
