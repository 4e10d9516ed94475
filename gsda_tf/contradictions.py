"""Settings that the user gave and that cannot hold together: told, not silently passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gsda_tf import methods
from gsda_tf.errors import UserError
from gsda_tf.settings import Settings

PIPELINE_OF = {
    "task": ("benchmark",),
    "source_dir": ("folders",),
    "target_dir": ("folders",),
    "source_list": ("lists",),
    "target_list": ("lists",),
    "image_root": ("lists",),
    "source_root": ("lists",),
    "target_root": ("lists",),
    "list_labels": ("lists",),
    "source": ("arrays", "tfds"),
    "target": ("arrays", "tfds"),
}
_NEEDS_FROZEN = ("feature_crops", "feature_cache_dir", "feature_dtype")


def check_given(given: Mapping[str, Any], settings: Settings) -> None:
    """Looks for contradictions between what was given and what holds.

    Args:
      given: values by setting name, only those that the user gave.
      settings: of the run.

    Raises:
      UserError: naming both sides and what to do.
    """
    for name, pipelines in PIPELINE_OF.items():
        if given.get(name) and settings.data.pipeline not in pipelines:
            wanted = " or ".join(f"--pipeline={pipeline}" for pipeline in pipelines)
            raise UserError(
                f"--{name}={given[name]} is for {wanted}, but --pipeline={settings.data.pipeline}: say {wanted}, or "
                f"leave --{name} out."
            )
    if given.get("extractor", "").startswith("features:"):
        raise UserError(
            f"--extractor={given['extractor']} is chosen where --source holds features of another model: leave it out."
        )
    for name in _NEEDS_FROZEN:
        if given.get(name) and not settings.model.keeps_features:
            raise UserError(
                f"--{name}={given[name]} is for --freeze_backbone or --train_from: say one, or leave --{name} out."
            )
    place, method = settings.model.train_from, settings.method.method
    if place and settings.model.freeze_backbone:
        raise UserError(
            f"--freeze_backbone and --train_from={place} contradict each other: the one freezes all of the backbone, "
            "the other what comes before that place. Leave one out."
        )
    if place and not methods.get_method(method).phases:
        raise UserError(
            f"--train_from={place} is for methods that train, but --method={method} is fitted: say --freeze_backbone."
        )
    if settings.method.add and not methods.get_method(method).phases:
        raise UserError(
            f"--add={','.join(settings.method.add)} is for methods that train, but --method={method} is fitted: leave "
            "it out."
        )
    if given.get("groups_file") and given.get("num_groups"):
        raise UserError("--groups_file and --num_groups contradict each other: the file tells the groups. Give one.")
    _check_devices(settings)


def _check_devices(settings: Settings) -> None:
    device = settings.device
    if device.cluster != "tf_config" and device.strategy != "multi_worker":
        raise UserError(
            f"--cluster={device.cluster} is for --strategy=multi_worker, but --strategy={device.strategy}: say "
            "--strategy=multi_worker, or leave --cluster out."
        )
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
