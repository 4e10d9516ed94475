"""The entropy term against its peers' numbers."""

import pytest

from tests.methods import peers
from tests.rounding import double

pytestmark = pytest.mark.usefixtures("in_double")


@pytest.mark.parametrize("key, weight", [
    ("entropy/pytorch_adapt", 1.0),
    ("entropy/afn_author_w0.1", 0.1),  # has the weight in it
])  # fmt: skip
def test_against_peers(key, weight):
    module = double("methods.entropy")
    term = module.EntropyTerm(module.EntropyTerm.Options(entropy_term_weight=weight))
    peers.compare(key, lambda z_t: term.loss(peers.batch(z_t=z_t)))
