"""Loads and asks what was written in a new process, which has nothing of this one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from gsda_tf.errors import COMMANDS, TrainingError

CHECK_SECONDS = 900.0
"""After so long a process that checks what was written is given up."""

# Imported in four fifths of the time where nobody looks for garbage meanwhile.
IMPORTS = "import gc\ngc.disable()\nimport os, sys, zipfile, numpy as np, tensorflow as tf\n"
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
        said = {name: said[name].numpy() for name in ("probabilities", "agreement", "label") if name in said}
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
os._exit(0)
"""
"""Asks an export, a .keras file, or a .tflite file that it makes first; and ends before Python takes all apart."""


@contextlib.contextmanager
def started(folder: str) -> Iterator[subprocess.Popen]:
    """Runs `SCRIPT` on the CPU in a folder while the block lasts: it imports TensorFlow while the caller works on."""
    with subprocess.Popen(
        [sys.executable, "-c", IMPORTS + _ARGUMENTS + SCRIPT],
        cwd=folder, env=environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def ask(process: subprocess.Popen, arguments: Sequence[str]) -> None:
    """Gives a process its arguments and waits for its end.

    Raises:
      ValueError: what was written cannot be loaded, or asked.
      TrainingError: it takes for ever.
    """
    try:
        said = process.communicate(os.fsencode("\0".join(arguments)), CHECK_SECONDS)[1].decode("utf-8", "replace")
    except subprocess.TimeoutExpired as error:
        raise TrainingError(
            f"The export was not loaded and asked within {CHECK_SECONDS:g} s and was removed: is the machine busy? "
            f"{COMMANDS}.export exports the checkpoint again."
        ) from error
    if process.returncode:
        raise ValueError((said.strip().splitlines() or [f"the process ended with {process.returncode}"])[-1])


def environment() -> dict[str, str]:
    """Variables of such a process: it sees no GPU and no other worker."""
    kept = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    return {**kept, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
