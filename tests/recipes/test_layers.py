"""The fold of layers: what is given stays, a gentle layer stands back, the last one that changes a value tells why."""

import pytest

from gsda_tf.errors import UserError
from gsda_tf.recipes import office31
from gsda_tf.recipes.layers import Choice, Holding, recipe_of


def test_layers_are_folded_in_order():
    now = Holding({"a": 1, "b": 2, "c": 3}, {"b": 20, "of another method": 0}, {"c": 30})
    assert now.all() == {"a": 1, "b": 20, "c": 30}
    now.take(Choice({"a": 5, "b": 6, "c": 7}, "gently", gentle=True))
    assert (now["a"], now["b"], now["c"]) == (5, 20, 30)
    now.take(Choice({"b": 6, "a": 5}, "firmly"))
    assert now.described() == "--a=5 (gently); --b=6 (firmly)" and now.base["b"] == 20
    now.take(Choice({"a": 9, "b": 8}, "both"))
    assert now.described() == "--a=9, --b=8 (both)"
    now.take(Choice({"a": 1}))
    assert now["a"] == 1 and now.described() == "--b=8 (both)", "what needs no word has none"


def test_a_benchmark_without_a_recipe_has_the_defaults():
    assert recipe_of("no_such_benchmark") is None and recipe_of("office31").SETTINGS["num_groups"] == (6,)


def test_a_recipe_names_settings_and_options_only(monkeypatch):
    monkeypatch.setattr(office31, "SETTINGS", {**office31.SETTINGS, "stepz": 7})
    with pytest.raises(UserError, match="stepz: no setting and no option"):
        recipe_of("office31")
