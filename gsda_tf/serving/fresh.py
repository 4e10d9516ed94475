"""A process in which nothing of this one is: what was written is loaded and asked there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence

from gsda_tf.errors import COMMANDS, TrainingError

CHECK_SECONDS = 900.0
"""After so long a process that checks what was written is given up."""

IMPORTS = "import os, sys, zipfile, numpy as np, tensorflow as tf\n"
_ARGUMENTS = "arguments = os.fsdecode(sys.stdin.buffer.read()).split('\\0')\n"
# With TensorFlow alone: what was written must not need this package, and TFLite's converter, which says a lot, may end
# a process.
SCRIPT = """
kind, made, question, answer = arguments
asked = dict(np.load(question))
seen, images = asked.pop("seen"), [image.tobytes() for image in asked.values()]
try:
    if kind == "saved_model":
        signature = tf.saved_model.load(made).signatures["serving_default"]
        said = signature(image_bytes=tf.constant(images)) if images else signature(features=tf.constant(seen))
        said = {name: said[name].numpy() for name in ("probabilities", "label")}
        said["label"] = said["label"].astype(bytes)
    elif kind == "keras":
        import keras
        if b"keras_hub" in zipfile.ZipFile(made).read("config.json"):
            import keras_hub
        said = {"probabilities": keras.models.load_model(made).predict(seen, verbose=0)}
    else:
        written = tf.lite.TFLiteConverter.from_saved_model("lite").convert()
        with open(made, "wb") as file:
            file.write(written)
        said = tf.lite.Interpreter(made).get_signature_runner()(inputs=seen)
except Exception as error:
    sys.exit(" ".join(str(error).split())[-300:] or type(error).__name__)
np.savez(answer, **said)
"""
"""Asks an export, a .keras file, or a .tflite file that it makes first."""


class FreshProcess:
    """`SCRIPT` on the CPU, under way as long as the block lasts: TensorFlow is imported while the question is written.

    Args:
      folder: it runs in.
    """

    def __init__(self, folder: str):
        self._process = subprocess.Popen(
            [sys.executable, "-c", IMPORTS + _ARGUMENTS + SCRIPT],
            cwd=folder, env=environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self) -> FreshProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, arguments: Sequence[str]) -> None:
        """Gives it its arguments; it works on beside this process."""
        with contextlib.suppress(BrokenPipeError):  # it has ended: `end` says why
            self._process.stdin.write(os.fsencode("\0".join(arguments)))
            self._process.stdin.close()
        self._process.stdin = None

    def end(self) -> str | None:
        """Waits for its end; returns what is wrong, or None.

        Raises:
          TrainingError: it takes for ever.
        """
        try:
            said = self._said(CHECK_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise TrainingError(
                f"The export was not loaded and asked within {CHECK_SECONDS:g} s and was removed: is the machine busy? "
                f"{COMMANDS}.export exports the checkpoint again."
            ) from error
        code = self._process.returncode
        return (said.strip().splitlines() or [f"the process ended with {code}"])[-1] if code else None

    def _said(self, seconds: float) -> str:
        return self._process.communicate(timeout=seconds)[1].decode("utf-8", "replace")


def environment() -> dict[str, str]:
    """Variables of such a process: it sees no GPU and no other worker."""
    kept = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
