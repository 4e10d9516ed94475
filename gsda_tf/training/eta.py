"""Tells how long a run will take after its first steps, and what would shorten it."""

from gsda_tf.models import backbones
from gsda_tf.progress import seconds
from gsda_tf.settings import Settings

_LONG = 3600.0


def outlook(settings: Settings, steps: int, rate: float, gpu: bool) -> str:
    """One line for the user.

    Args:
      settings: of the run.
      steps: that are left.
      rate: steps a second.
      gpu: whether there is one.
    """
    line = f"{steps:,} steps take about {seconds(steps / rate)}, evaluations aside ({rate:.3g} steps a second)."
    if steps / rate < _LONG:
        return line
    model = settings.model
    whole = not model.keeps_features and not backbones.is_small(model.extractor)
    shorter = {
        "--freeze_backbone or --train_from=last, which train on what is computed once": whole
        and model.weights != "none",
        "a GPU": whole and not gpu,
        "--discriminator_units=64": not whole and max(model.discriminator_units, default=0) > 64,
        "a smaller --image_size or --extractor": whole,
        "fewer --steps": True,
    }
    return f"{line} Shorter: {'; '.join(what for what, helps in shorter.items() if helps)}."
