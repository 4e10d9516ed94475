"""The package's files and folders import one another downward only."""

from __future__ import annotations

from docs import structure


def test_no_file_is_in_a_circle():
    assert structure.circles(structure.imports()) == []


def test_no_folder_is_in_a_circle():
    assert structure.circles(structure.rooms()) == []


def test_a_circle_is_found():
    assert structure.circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b", "c"]


def test_a_node_stands_above_all_that_it_imports():
    assert structure.floors({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": 3, "b": 2, "c": 1}
