"""How often does a candidate say what the mean of all candidates does (EnsV)? All may be wrong together."""

from gsda_tf.choosing.criteria.base import Criterion

CRITERION = Criterion(
    "with all", lambda mine, pool: (mine.predictions == pool.answers).mean(axis=1).mean(), counts=True
)
