"""The fold of layers: what is given stays, a gentle layer stands back, the last one that changes a value tells why."""

import pkgutil

import pytest

from gsda_tf import methods, recipes
from gsda_tf.recipes import office31
from gsda_tf.recipes.layers import Holding, recipe_of
from gsda_tf.settings import fields


def test_layers_are_folded_in_order():
    now = Holding({"a": 1, "b": 2, "c": 3}, {"b": 20, "of another method": 0}, {"c": 30})
    assert now == {"a": 1, "b": 20, "c": 30}
    now.take({"a": 5, "b": 6, "c": 7}, "gently", gentle=True)
    assert now == {"a": 5, "b": 20, "c": 30}
    now.take({"b": 6, "a": 5}, "firmly")
    assert now.described() == "--a=5 (gently); --b=6 (firmly)" and now.base["b"] == 20
    now.take({"a": 9, "b": 8}, "both")
    assert now.described() == "--a=9, --b=8 (both)"
    now.take({"a": 1})
    assert now["a"] == 1 and now.described() == "--b=8 (both)", "what needs no word has none"


def test_a_file_with_a_layer_is_all_that_a_layer_takes(monkeypatch):
    monkeypatch.setattr(office31, "layer", lambda now: now.take({"momentum": 0.5}, "as it is"), raising=False)
    assert recipes.resolve({}).optimization.momentum == 0.5
    assert recipes.reasoned({})[1] == "--momentum=0.5 (as it is)"


def test_a_benchmark_without_a_recipe_has_the_defaults():
    assert recipe_of("no_such_benchmark") is None and recipe_of("office31").SETTINGS["num_groups"] == (6,)


@pytest.mark.parametrize("name", [info.name for info in pkgutil.iter_modules(recipes.__path__)])
def test_a_recipe_names_settings_and_options_only(name):
    recipe = recipe_of(name)
    tables = [getattr(recipe, part, {}) for part in ("SETTINGS", "FROZEN", "TRAINED")]
    told = set().union(*tables, *getattr(recipe, "TASKS", {}).values())
    assert told <= {field.name for field in fields()} | set(methods.all_options())
