"""A process on a shared feature store: `python -m tests.faults.feature_store_user FOLDER MOMENT FILES`.

It dies at MOMENT as soon as the store has so many files: "computing", "writing", or "never".
"""

import os
import signal
import sys

import numpy as np

from gsda_tf.data.domain import DomainData
from gsda_tf.data.features import FeatureStore
from gsda_tf.data.records import ArrayRecords
from gsda_tf.training import frozen

IMAGES, A_FILE = 24, 2
_NUMBERS = np.arange(IMAGES, dtype=np.uint8)
DOMAIN = DomainData("x", ArrayRecords(np.tile(_NUMBERS[:, None, None, None], 3), "x"), np.zeros(IMAGES, np.int32))
DIGESTS = np.asarray([f"{i:032x}" for i in range(IMAGES)], "S32")


def main() -> None:
    """Gets all features, of which the i-th is i, and says how many it computed."""
    folder, moment, files = sys.argv[1:]
    computed = []

    def die(now: str) -> None:
        if now == moment and sum(name.endswith(".npy") for name in os.listdir(folder)) >= int(files):
            os.kill(os.getpid(), signal.SIGKILL)

    def embed(part, told):
        computed.append(len(part))
        die("computing")
        return [np.asarray(part.records.load(np.arange(len(part))), np.float32)[:, 0, 0, :1]]

    replace = os.replace
    os.replace = lambda *paths: (die("writing"), replace(*paths))
    store = FeatureStore(folder)
    found = np.asarray(frozen._features(DOMAIN, DIGESTS, store, embed, A_FILE))
    assert (found[:, 0] == np.arange(IMAGES)).all()
    print(sum(computed))


if __name__ == "__main__":
    main()
