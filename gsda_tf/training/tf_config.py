"""TF_CONFIG: whether it can be used."""

import json
import re
from typing import Any

from gsda_tf.errors import UserError
from gsda_tf.runs.contents import fits

EXPECTED = (
    'Expected TF_CONFIG to hold JSON with "cluster": {"worker": ["host:port", ...]} and "task": {"type": "worker", '
    '"index": i}, the same cluster on every worker, each address once, and i the place of this worker in it, from 0 on.'
)
_JOBS = ("chief", "worker")
_SHOWN = 300


def check_tf_config(text: str) -> int:
    """Makes sure that TF_CONFIG describes a cluster and this process's place in it.

    Args:
      text: value of the environment variable TF_CONFIG.

    Returns:
      How many processes train.

    Raises:
      UserError: what is wrong with it.
    """
    try:
        config = json.loads(text)
    except ValueError:
        config = None
    if fits(config, {"cluster": {str: [_is_address]}, "task": {"type": str, "index": int}}):
        cluster, task = config["cluster"], config["task"]
        addresses = [address for job in cluster.values() for address in job]
        known = set(cluster) <= set(_JOBS) and all(cluster.values()) and len(set(addresses)) == len(addresses)
        if known and task["index"] in range(len(cluster.get(task["type"], ()))):
            return len(addresses)
    found = f"it is {text[:_SHOWN]}" if text.strip() else "it is not set"
    raise UserError(f"--strategy=multi_worker cannot use TF_CONFIG: {found}. {EXPECTED}")


def _is_address(value: Any) -> bool:
    host, _, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return bool(host and re.fullmatch(r"[0-9]{1,5}", port)) and 0 < int(port) < 65536
