import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gsda_tf import tasks
from gsda_tf.data import lists as lists_lib
from gsda_tf.errors import DataError, UserError
from tests.data import pictures
from tests.data.pictures import folders, write_domain
from tests.data.pictures import lists as lists_settings

_CLASSES = ("bike", "mug", "pen")


@pytest.fixture
def root(tmp_path):
    """Two domains, and room for lists beside them."""
    write_domain(tmp_path / "amazon", {"bike": 2, "mug": 2, "pen": 3})
    write_domain(tmp_path / "webcam", {"bike": 1, "mug": 2, "pen": 2}, first=50)
    return tmp_path


def _paths(root, domain: str) -> list[str]:
    """Relative paths of a domain's images, in no useful order."""
    return sorted(
        (str(path.relative_to(root)) for path in (root / domain).rglob("*.jpg")), key=lambda p: p[::-1], reverse=True
    )


def _write(root, name: str, lines, ends: str = "\n", encoding: str = "utf-8") -> str:
    (root / name).write_bytes(ends.join([*lines, ""]).encode(encoding))
    return str(root / name)


def _numbered(root, domain: str, order=_CLASSES, **how) -> str:
    number = {name: index for index, name in enumerate(order)}
    lines = [f"{path} {number[path.split('/')[-2]]}" for path in _paths(root, domain)]
    return _write(root, f"{domain}.txt", lines, **how)


def _named(root, domain: str, **how) -> str:
    return _write(
        root, f"{domain}_names.txt", [f"{path} {path.split('/')[-2]}" for path in _paths(root, domain)], **how
    )


def _refusal(settings) -> str:
    with pytest.raises(UserError) as refused:
        tasks.load(settings)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def _facts(data) -> list[tuple[str, str]]:
    """(path, class) of every image, in order."""
    return [
        (os.path.realpath(domain.records.name(i)), data.class_names[domain.labels[i]] if domain.labelled else "?")
        for domain in (data.source, data.target)
        for i in range(len(domain))
    ]


def test_numbers_whose_folders_tell_the_classes(root):
    data = tasks.load(lists_settings(_numbered(root, "amazon"), _numbered(root, "webcam")))
    assert data.name == "lists/amazon_webcam" and data.class_names == _CLASSES
    assert all(os.path.basename(os.path.dirname(path)) == name for path, name in _facts(data))
    assert len(data.source) == 7 and len(data.target) == 5


def test_lists_and_folders_are_the_same_task(root):
    by_list = tasks.load(lists_settings(_numbered(root, "amazon"), _named(root, "webcam")))
    by_folder = tasks.load(folders(root / "amazon", root / "webcam"))
    assert _facts(by_list) == _facts(by_folder) and by_list.class_names == by_folder.class_names


def test_names_as_labels(root):
    data = tasks.load(lists_settings(_named(root, "amazon"), _named(root, "webcam")))
    assert data.class_names == _CLASSES
    assert all(os.path.basename(os.path.dirname(path)) == name for path, name in _facts(data))


def test_lists_that_number_classes_differently_are_reconciled_by_name(root):
    target = _numbered(root, "webcam", order=("pen", "bike", "mug"))
    data = tasks.load(lists_settings(_numbered(root, "amazon"), target))
    assert all(os.path.basename(os.path.dirname(path)) == name for path, name in _facts(data))


def test_numbers_order_the_classes(root):
    order = ("pen", "bike", "mug")
    data = tasks.load(lists_settings(_numbered(root, "amazon", order), _numbered(root, "webcam", order)))
    assert data.class_names == order


def test_numbers_alone_mean_the_same_in_both_lists(root):
    for domain, labels in (("src", (0, 0, 1, 2)), ("tgt", (2, 1, 1))):
        (root / domain).mkdir()
        for index in range(len(labels)):
            (root / domain / f"{index}.jpg").write_bytes(pictures.encoded(number=index))
        _write(root, f"{domain}.txt", [f"{domain}/{index}.jpg {label}" for index, label in enumerate(labels)])
    data = tasks.load(lists_settings(root / "src.txt", root / "tgt.txt"))
    assert data.class_names == ("0", "1", "2")
    assert data.source.labels.tolist() == [0, 0, 1, 2] and data.target.labels.tolist() == [1, 1, 2]


def test_without_target_labels(root):
    data = tasks.load(lists_settings(_numbered(root, "amazon"), _write(root, "t.txt", _paths(root, "webcam"))))
    assert not data.target.labelled and data.target.labels.tolist() == [-1] * 5


def test_fewer_target_classes_are_partial_adaptation(root):
    lines = [f"{path} {_CLASSES.index(path.split('/')[-2])}" for path in _paths(root, "webcam") if "mug" not in path]
    data = tasks.load(lists_settings(_numbered(root, "amazon"), _write(root, "few.txt", lines)))
    assert data.partial and data.target_classes == (0, 2)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_byte_order_marks(root, ends, encoding):
    expected = _facts(tasks.load(lists_settings(_numbered(root, "amazon"), _numbered(root, "webcam"))))
    source = _numbered(root, "amazon", ends=ends, encoding=encoding)
    target = _numbered(root, "webcam", ends=ends, encoding=encoding)
    assert _facts(tasks.load(lists_settings(source, target))) == expected


def test_windows_separators(root):
    lines = [f"{path} {_CLASSES.index(path.split('/')[-2])}".replace("/", "\\") for path in _paths(root, "webcam")]
    data = tasks.load(lists_settings(_numbered(root, "amazon"), _write(root, "w.txt", lines)))
    assert len(data.target) == 5


def test_paths_with_spaces_and_image_root(tmp_path):
    write_domain(tmp_path / "Real World", {"Alarm Clock": 2, "mug": 1})
    write_domain(tmp_path / "Art", {"Alarm Clock": 1, "mug": 1}, first=9)
    (tmp_path / "lists").mkdir()
    for domain in ("Real World", "Art"):
        lines = [f"{path} {int('mug' in path)}" for path in _paths(tmp_path, domain)]
        _write(tmp_path / "lists", f"{domain}.txt", lines)
    one, two = (tmp_path / "lists" / f"{domain}.txt" for domain in ("Real World", "Art"))
    data = tasks.load(lists_settings(one, two, image_root=str(tmp_path)))
    assert data.class_names == ("Alarm Clock", "mug") and data.name == "lists/Real-World_Art"
    assert "--image_root" in _refusal(lists_settings(one, two))


class TestRefusals:
    """Each is one line that names the list and the line."""

    def test_a_flag_is_missing(self, root):
        assert "needs --source_list=FILE" in _refusal(lists_settings("", _numbered(root, "webcam")))

    def test_no_such_list(self, root):
        assert "none.txt cannot be read" in _refusal(lists_settings(root / "none.txt", _numbered(root, "webcam")))

    def test_an_empty_list(self, root):
        assert "is empty" in _refusal(lists_settings(_write(root, "e.txt", ["", " "]), _numbered(root, "webcam")))

    def test_no_labels_in_the_source(self, root):
        message = _refusal(lists_settings(_write(root, "s.txt", _paths(root, "amazon")), _numbered(root, "webcam")))
        assert "line 1" in message and "has no label" in message

    def test_labels_on_some_lines_only(self, root):
        lines = [f"{path} 0" for path in _paths(root, "webcam")]
        lines[3] = lines[3][:-2]
        message = _refusal(lists_settings(_numbered(root, "amazon"), _write(root, "t.txt", lines)))
        assert "line 4" in message and "has no label, line 1 has one" in message

    def test_missing_paths(self, root):
        path = _numbered(root, "amazon")
        with open(path, "a") as file:
            file.write("amazon/bike/gone.jpg 0\n")
        message = _refusal(lists_settings(path, _numbered(root, "webcam")))
        assert "1 of the 8 files" in message and "line 8 (amazon/bike/gone.jpg)" in message

    @pytest.mark.parametrize("label", ["3", "-1"])
    def test_a_label_out_of_range(self, root, label):
        # Folders that tell nothing, so that the numbers count.
        for name in ("x.jpg", "y.jpg", "z.jpg"):
            (root / name).write_bytes(pictures.encoded(number=len(name)))
        source = _write(root, "s.txt", ["x.jpg 0", "y.jpg 1"])
        message = _refusal(lists_settings(source, _write(root, "t.txt", ["z.jpg " + label])))
        assert "t.txt line 1" in message and f"label {label} is out of range" in message

    @pytest.mark.parametrize("climbing", ["../secret.jpg", "amazon/../../secret.jpg", "/etc/secret.jpg"])
    def test_paths_that_climb_out_of_the_root(self, root, climbing):
        inner = root / "inner"
        write_domain(inner / "amazon", {"bike": 1, "mug": 1})
        (root / "secret.jpg").write_bytes(pictures.encoded())
        lines = [f"{path} {int('mug' in path)}" for path in _paths(inner, "amazon")]
        message = _refusal(lists_settings(_write(inner, "s.txt", [*lines, f"{climbing} 0"]), _numbered(root, "webcam")))
        assert "line 3" in message and "leads out of" in message and climbing in message

    def test_a_list_that_disagrees_with_its_own_folders(self, root):
        path = _numbered(root, "amazon")
        with open(path) as file:
            lines = file.read().splitlines()
        wrong = next(i for i, line in enumerate(lines) if "/pen/" in line)
        lines[wrong] = lines[wrong][:-1] + "0"
        message = _refusal(lists_settings(_write(root, "amazon.txt", lines), _numbered(root, "webcam")))
        assert f"line {wrong + 1} " in message and "clashes with line" in message

    def test_one_image_with_two_labels(self, root):
        source = _write(root, "s.txt", ["amazon/bike/frame_0000.jpg bike", "amazon/./bike/frame_0000.jpg mug"])
        message = _refusal(lists_settings(source, _numbered(root, "webcam")))
        assert "line 1" in message and "line 2" in message and "two labels" in message

    def test_a_class_that_the_source_lacks(self, root):
        write_domain(root / "new", {"lamp": 1, "mug": 1}, first=80)
        message = _refusal(lists_settings(_named(root, "amazon"), _named(root, "new")))
        assert "'lamp'" in message and "line" in message

    def test_the_same_list_twice(self, root):
        path = _numbered(root, "amazon")
        assert "list the same images" in _refusal(lists_settings(path, path))

    def test_no_text(self, root):
        (root / "b.txt").write_bytes(b"amazon/bike/frame_0000.jpg 0\n\xff\xd8\xff\xe0 1\n")
        assert "line 2 is no UTF-8 text" in _refusal(lists_settings(root / "b.txt", _numbered(root, "webcam")))

    def test_a_zero_byte(self, root):
        source = _write(root, "z.txt", ["amazon/bike/frame_0000.jpg\0 0"])
        assert "line 1 holds a zero byte" in _refusal(lists_settings(source, _numbered(root, "webcam")))


_PATHS = st.lists(
    st.text(st.characters(blacklist_characters="/\0\r\n\\", blacklist_categories=("Cs",)), min_size=1, max_size=8),
    min_size=1,
    max_size=4,
).map("/".join)
_LABELS = st.integers(0, 400).map(str) | st.text("abcXYZ_-äß", min_size=1, max_size=6)


@given(st.lists(st.tuples(_PATHS, _LABELS), min_size=1, max_size=20), st.sampled_from(["\n", "\r\n", "\r"]), st.data())
def test_what_is_written_is_read(rows, ends, data):
    rows = [(path.strip(" \t") + ".jpg", label) for path, label in rows]
    gaps = data.draw(st.lists(st.sampled_from([" ", "\t", "   "]), min_size=len(rows), max_size=len(rows)))
    text = ends.join(path + gap + label for (path, label), gap in zip(rows, gaps))
    read = lists_lib.parse_list("list", text)
    assert [(line.path, line.label) for line in read.lines] == rows and read.labelled
    assert read.numbered == all(label.isdigit() for _, label in rows)


@given(st.lists(_PATHS.map(lambda path: path.strip(" \t") + ".PNG"), min_size=1, max_size=10))
def test_lines_without_labels_are_read(paths):
    read = lists_lib.parse_list("list", "\n\n".join(paths))
    assert [line.path for line in read.lines] == paths and not read.labelled
    assert [line.number for line in read.lines] == [1 + 2 * i for i in range(len(paths))]


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content)
    try:
        assert lists_lib.read_list(str(tmp_path / "list.txt")).lines
    except DataError as error:
        assert str(error).isprintable()


@given(st.lists(_PATHS, min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_path_leads_out_of_the_root(tmp_path, parts):
    path = "/".join(parts) + ".jpg"
    lines = (lists_lib.Line(1, path, "0"),)
    try:
        found = lists_lib.find_images(lists_lib.ImageList("list", lines, True, True), str(tmp_path))
    except DataError as error:
        assert str(error).isprintable()
    else:
        assert found[0].startswith(str(tmp_path) + os.sep)
