import dataclasses
import os
import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gsda_tf
from gsda_tf import recipes
from gsda_tf.data.image_files import on_a_path_left_behind
from gsda_tf.datasets import loading
from gsda_tf.datasets.own import lists as lists_lib
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
        loading.load(settings)
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
    data = loading.load(lists_settings(_numbered(root, "amazon"), _numbered(root, "webcam")))
    assert data.name == "lists/amazon_webcam" and data.class_names == _CLASSES
    assert all(os.path.basename(os.path.dirname(path)) == name for path, name in _facts(data))
    assert len(data.source) == 7 and len(data.target) == 5


def test_a_target_labelled_on_some_lines(root):
    with open(_numbered(root, "webcam")) as file:
        lines = [line if i % 2 else line.split()[0] for i, line in enumerate(file.read().splitlines())]
    data = loading.index(lists_settings(_numbered(root, "amazon"), _write(root, "t.txt", lines)))
    labels, names = data.target.labels, [data.target.records.name(i) for i in range(5)]
    assert (labels >= 0).sum() == 2
    assert all(f"/{data.class_names[label]}/" in name for name, label in zip(names, labels) if label >= 0)


def test_lists_and_folders_are_the_same_task(root):
    by_list = loading.load(lists_settings(_numbered(root, "amazon"), _named(root, "webcam")))
    by_folder = loading.load(folders(root / "amazon", root / "webcam"))
    assert _facts(by_list) == _facts(by_folder) and by_list.class_names == by_folder.class_names


def test_names_as_labels(root):
    data = loading.load(lists_settings(_named(root, "amazon"), _named(root, "webcam")))
    assert data.class_names == _CLASSES
    assert all(os.path.basename(os.path.dirname(path)) == name for path, name in _facts(data))


def test_lists_that_number_classes_differently_are_reconciled_by_name(root):
    target = _numbered(root, "webcam", order=("pen", "bike", "mug"))
    data = loading.load(lists_settings(_numbered(root, "amazon"), target))
    assert all(os.path.basename(os.path.dirname(path)) == name for path, name in _facts(data))


def test_numbers_that_contradict_each_other_about_folders_are_told_with_a_flag_to_choose(root):
    source, target = _numbered(root, "amazon"), _numbered(root, "webcam", order=("pen", "bike", "mug"))
    (told,) = loading.load(lists_settings(source, target)).remarks
    assert "--list_labels=numbers" in told and "numbers the same folders otherwise" in told
    data = loading.load(lists_settings(source, target, list_labels="numbers"))
    assert data.class_names == ("0", "1", "2")
    number = {"pen": 0, "bike": 1, "mug": 2}
    folders_of = [os.path.basename(os.path.dirname(path)) for path, _ in _facts(data)[len(data.source) :]]
    assert data.target.labels.tolist() == [number[folder] for folder in folders_of]
    assert not loading.load(lists_settings(source, _numbered(root, "webcam"))).remarks


def _sorted_by(root, domain: str, folder_of) -> list[tuple[str, str]]:
    """(path, class) of a domain's images, moved to other folders."""
    lines = []
    for path in _paths(root, domain):
        new = os.path.join(domain, folder_of(path), path.replace("/", "-"))
        (root / new).parent.mkdir(exist_ok=True)
        os.rename(root / path, root / new)
        lines.append((new, path.split("/")[-2]))
    return lines


def test_words_are_final_whatever_folders_are_called(root):
    source = _sorted_by(root, "amazon", lambda path: "2021" if "mug" in path else "2022")
    target = _sorted_by(root, "webcam", lambda path: "bike" if "mug" in path else "mug")
    lists = [_write(root, f"{i}.txt", [" ".join(line) for line in lines]) for i, lines in enumerate((source, target))]
    data = loading.load(lists_settings(*lists))
    written = {os.path.realpath(root / path): word for path, word in source + target}
    assert data.class_names == _CLASSES and all(written[path] == name for path, name in _facts(data))


@pytest.mark.parametrize("folders_of", [{"good": "OK", "bad": "NG"}, {"good": "good", "bad": "bad"}])
def test_numbers_are_final(tmp_path, folders_of):
    write_domain(tmp_path / "s", {"good": 2, "bad": 3})
    write_domain(tmp_path / "t", {folders_of["good"]: 2, folders_of["bad"]: 1}, first=20)
    source = _write(tmp_path, "s.txt", [f"{path} {int('/bad/' in path)}" for path in _paths(tmp_path, "s")])
    bad = f"/{folders_of['bad']}/"
    target = _write(tmp_path, "t.txt", [f"{path} {int(bad in path)}" for path in _paths(tmp_path, "t")])
    data = loading.load(lists_settings(source, target))
    assert data.class_names == ("good", "bad") and data.target.labels.tolist() == [0, 0, 1] and not data.remarks


def test_a_label_that_clashes_with_its_folder_counts_and_is_told(root):
    path = _numbered(root, "amazon")
    with open(path) as file:
        lines = file.read().splitlines()
    wrong = next(i for i, line in enumerate(lines) if "/pen/" in line)
    lines[wrong] = lines[wrong][:-1] + "0"
    data = loading.load(lists_settings(_write(root, "amazon.txt", lines), _numbered(root, "webcam")))
    assert np.bincount(data.source.labels).tolist() == [3, 2, 2]
    (told,) = data.remarks
    assert "another label" in told and f"line {wrong + 1} " in told and "the label counts" in told


def test_words_and_numbers_without_folders_in_common_are_refused(root):
    source = _write(root, "s.txt", [f"{path} {'ok' if 'mug' in path else 'ng'}" for path in _paths(root, "amazon")])
    message = _refusal(lists_settings(source, _numbered(root, "webcam")))
    assert "The class '0' (" in message and "is not a class of the source, which has 2: ng, ok" in message


_ROWS = (("amazon/bike/frame_0000.jpg", "hot dog"), ("amazon/mug/frame_0000.jpg", "mug"))


@pytest.mark.parametrize(
    "name, text",
    [
        ("tabs.txt", "{0}\t{1}\n{2}\t{3}\n"),
        ("spaces.txt", "{0} {1}\n{2}  {3}\n"),
        ("commas.txt", "{0},{1}\n{2}, {3}\n"),
        ("plain.csv", "{0};{1}\n{2};{3}\n"),
        ("quoted.csv", '"{0}","{1}"\n"{2}","{3}"\n'),
        ("header.csv", "id,Label,Image Path\n1,{1},{0}\n2,{3},{2}\n"),
        ("header.tsv", "filename\tclass\n{0}\t{1}\n{2}\t{3}\n"),
        ("header.txt", 'file;category\n"{0}";"{1}"\n{2};{3}\n'),
        ("trailing.csv", "{0},{1},\n{2},{3},\n"),
        ("separator.csv", "sep=;\n{0};{1}\n{2};{3}\n"),
        ("separator and header.csv", "sep=;\npath;label\n{0};{1}\n{2};{3}\n"),
        ("split.csv", "{0},{1},train\n{2},{3},test\n"),
        ("quoted split.csv", '"{0}","{1}","train"\n"{2}","{3}","test"\n'),
        ("score.txt", "{0}\t{1}\t0.50\n{2}\t{3}\t0.75\n"),
    ],
)
def test_tables(name, text):
    read = lists_lib.parse_list(name, text.format(*_ROWS[0], *_ROWS[1]))
    assert tuple((line.path, line.label) for line in read.lines) == _ROWS and len(read.known) == 2 and not read.numbered
    more = name.startswith(("split", "quoted split", "score"))
    assert [remark for remark in read.remarks if "Columns from the third on are not read" in remark] == [*read.remarks]
    assert len(read.remarks) == more


def test_lines_of_other_numbers_of_columns_are_refused():
    with pytest.raises(DataError, match="line 1 has 3 columns, and line 2 has others"):
        lists_lib.parse_list("list.csv", "a.jpg,bar,train\nb.jpg,foo\n")


def test_a_missing_label_is_no_class():
    for missing in ("nan", "NaN", "<NA>"):
        assert not lists_lib.parse_list("list", f"a.jpg {missing}\nb.jpg,{missing}\n").known


def test_accents_are_one_class_and_one_file_however_they_are_written(root):
    composed, not_composed = "caf\u00e9", "cafe\u0301"
    for domain, name, first in (("s", composed, 100), ("t", not_composed, 200)):
        write_domain(root / domain, {name: 2, "mug": 2}, first=first)
    source = _write(root, "s.txt", [f"s/{not_composed}/frame_000{i}.jpg {composed}" for i in (0, 1)] + _labelled("s"))
    target = _write(root, "t.txt", [f"t/{composed}/frame_000{i}.jpg {not_composed}" for i in (0, 1)] + _labelled("t"))
    data = loading.load(lists_settings(source, target))
    assert data.class_names == (composed, "mug") and data.target.labels.tolist() == [0, 0, 1, 1]
    twice = _write(root, "two.txt", [f"s/{composed}/frame_0000.jpg a", f"s/{not_composed}/frame_0000.jpg b"])
    assert "two labels" in _refusal(lists_settings(twice, target))


def _labelled(domain: str) -> list[str]:
    return [f"{domain}/mug/frame_000{i}.jpg mug" for i in (0, 1)]


def test_lists_that_overlap_by_content_are_told(root):
    shutil.copy(root / "amazon/pen/frame_0001.jpg", root / "webcam/pen/a copy.jpg")
    os.symlink(root / "amazon/mug/frame_0000.jpg", root / "webcam/mug/a link.jpg")
    (told,) = loading.load(lists_settings(_named(root, "amazon"), _named(root, "webcam"))).remarks
    assert told.startswith("2 of the 7 target images are in the source too (") and "a link.jpg)" in told


@pytest.mark.parametrize("line", ["{} -1", "{},", "{}\t", "{}"])
def test_targets_without_labels(root, line):
    target = _write(root, "t.txt", [line.format(path) for path in _paths(root, "webcam")])
    data = loading.load(lists_settings(_numbered(root, "amazon"), target))
    assert data.target.labels.tolist() == [-1] * 5
    message = _refusal(lists_settings(target, _numbered(root, "amazon")))
    assert "have no label" in message and "None" not in message


def test_whole_paths_are_taken_where_the_user_says_so(root):
    lists = []
    for domain in ("amazon", "webcam"):
        lines = [f"{root / path} {_CLASSES.index(path.split('/')[-2])}" for path in _paths(root, domain)]
        lists.append(_write(root, f"whole {domain}.txt", lines))
    assert len(loading.load(lists_settings(*lists, image_root="/")).target) == 5


def test_what_systems_leave_behind_is_passed_over_with_a_word(root):
    lines = [f"{path} {_CLASSES.index(path.split('/')[-2])}" for path in _paths(root, "webcam")]
    lines += ["webcam/mug/._frame_0000.jpg 1", "webcam/mug/@eaDir/frame.jpg 1"]
    data = loading.load(lists_settings(_numbered(root, "amazon"), _write(root, "t.txt", lines)))
    assert len(data.target) == 5
    assert any("2 lines of" in remark and "line 6" in remark for remark in data.remarks)


def test_a_class_of_one_image_is_told(root):
    lines = [line for line in _paths(root, "amazon") if "bike" not in line or "0000" in line]
    source = _write(root, "few.txt", [f"{path} {path.split('/')[-2]}" for path in lines])
    data = loading.load(lists_settings(source, _named(root, "webcam")))
    assert any("1 of the 3 classes have a single source image (bike)" in remark for remark in data.remarks)


def test_numbers_beyond_the_sources_are_unknown_if_that_is_said(root):
    lines = [f"{path} {(7, 1, 9)[i % 3]}" for i, path in enumerate(_paths(root, "webcam"))]
    settings = lists_settings(_numbered(root, "amazon"), _write(root, "t.txt", lines), list_labels="numbers")
    with pytest.raises(DataError, match=r"The class '[79]' .* is not a class of the source, which has 3: 0, 1, 2"):
        loading.load(settings)
    data = loading.load(dataclasses.replace(settings, unknown="reject"))
    assert data.class_names == ("0", "1", "2", "unknown")
    assert np.bincount(data.target.labels).tolist() == [0, lines_of(lines, 1), 0, len(lines) - lines_of(lines, 1)]


def lines_of(lines, label):
    return sum(line.endswith(f" {label}") for line in lines)


def test_numbers_order_the_classes(root):
    order = ("pen", "bike", "mug")
    data = loading.load(lists_settings(_numbered(root, "amazon", order), _numbered(root, "webcam", order)))
    assert data.class_names == order


def test_numbers_alone_mean_the_same_in_both_lists(root):
    for domain, labels in (("src", (0, 0, 1, 2)), ("tgt", (2, 1, 1))):
        (root / domain).mkdir()
        for index in range(len(labels)):
            (root / domain / f"{index}.jpg").write_bytes(pictures.encoded(number=index))
        _write(root, f"{domain}.txt", [f"{domain}/{index}.jpg {label}" for index, label in enumerate(labels)])
    data = loading.load(lists_settings(root / "src.txt", root / "tgt.txt"))
    assert data.class_names == ("0", "1", "2")
    assert data.source.labels.tolist() == [0, 0, 1, 2] and data.target.labels.tolist() == [1, 1, 2]


def test_without_target_labels(root):
    data = loading.load(lists_settings(_numbered(root, "amazon"), _write(root, "t.txt", _paths(root, "webcam"))))
    assert not data.target.labelled and data.target.labels.tolist() == [-1] * 5


def test_fewer_target_classes_are_partial_adaptation(root):
    lines = [f"{path} {_CLASSES.index(path.split('/')[-2])}" for path in _paths(root, "webcam") if "mug" not in path]
    data = loading.load(lists_settings(_numbered(root, "amazon"), _write(root, "few.txt", lines)))
    assert data.partial and data.target_classes == (0, 2)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_byte_order_marks(root, ends, encoding):
    expected = _facts(loading.load(lists_settings(_numbered(root, "amazon"), _numbered(root, "webcam"))))
    source = _numbered(root, "amazon", ends=ends, encoding=encoding)
    target = _numbered(root, "webcam", ends=ends, encoding=encoding)
    assert _facts(loading.load(lists_settings(source, target))) == expected


def test_windows_separators(root):
    lines = [f"{path} {_CLASSES.index(path.split('/')[-2])}".replace("/", "\\") for path in _paths(root, "webcam")]
    data = loading.load(lists_settings(_numbered(root, "amazon"), _write(root, "w.txt", lines)))
    assert len(data.target) == 5


def test_paths_with_spaces_and_image_root(tmp_path):
    write_domain(tmp_path / "Real World", {"Alarm Clock": 2, "mug": 1})
    write_domain(tmp_path / "Art", {"Alarm Clock": 1, "mug": 1}, first=9)
    (tmp_path / "lists").mkdir()
    for domain in ("Real World", "Art"):
        lines = [f"{path} {int('mug' in path)}" for path in _paths(tmp_path, domain)]
        _write(tmp_path / "lists", f"{domain}.txt", lines)
    one, two = (tmp_path / "lists" / f"{domain}.txt" for domain in ("Real World", "Art"))
    data = loading.load(lists_settings(one, two, image_root=str(tmp_path)))
    assert data.class_names == ("Alarm Clock", "mug") and data.name == "lists/Real-World_Art"
    assert "--image_root" in _refusal(lists_settings(one, two))


def test_each_list_may_have_a_root_of_its_own(tmp_path):
    """The same relative paths in both: by one root for both, the source would be read from the target's folder."""
    lists = []
    for first, domain in enumerate(("s", "t")):
        write_domain(tmp_path / domain, {"bike": 2, "mug": 1}, first=50 * first)
        lines = [f"{path} {path.split('/')[0]}" for path in _paths(tmp_path / domain, "")]
        lists.append(_write(tmp_path, f"{domain}.txt", lines))
    roots = {"source_root": str(tmp_path / "s"), "target_root": str(tmp_path / "t")}
    for more in (roots, {"image_root": roots["source_root"], "target_root": roots["target_root"]}):
        data = loading.load(lists_settings(*lists, **more))
        names = [domain.records.name(0) for domain in (data.source, data.target)]
        assert names == [str(tmp_path / domain / "bike" / "frame_0000.jpg") for domain in ("s", "t")]
    given = {**gsda_tf.Domain.from_list(lists[0], roots["source_root"]).given("source"), "pipeline": "lists"}
    given.update(gsda_tf.Domain.from_list(lists[1], roots["target_root"]).given("target"))
    assert recipes.resolve(given).data.source_root == roots["source_root"]
    assert recipes.resolve(given).data.target_root == roots["target_root"]


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
        assert "s.txt line" in message and "7 of the 7 images of the source have no label" in message

    def test_labels_on_some_lines_of_the_source_only(self, root):
        lines = [f"{path} 0" for path in _paths(root, "amazon")]
        lines[3] = lines[3][:-2]
        message = _refusal(lists_settings(_write(root, "s.txt", lines), _numbered(root, "webcam")))
        assert "line 4" in message and "have no label" in message

    def test_missing_paths(self, root):
        path = _numbered(root, "amazon")
        with open(path, "a") as file:
            file.write("amazon/bike/gone.jpg 0\n")
        message = _refusal(lists_settings(path, _numbered(root, "webcam")))
        assert "1 of the 8 files" in message and "line 8 (amazon/bike/gone.jpg)" in message

    @pytest.mark.parametrize(
        ("label", "said"), [("3", "class '3' ("), ("-2", "label -2 is out of range")], ids=["beyond", "below"]
    )
    def test_a_label_out_of_range(self, root, label, said):
        # Folders that tell nothing, so that the numbers count.
        for name in ("x.jpg", "y.jpg", "z.jpg"):
            (root / name).write_bytes(pictures.encoded(number=len(name)))
        source = _write(root, "s.txt", ["x.jpg 0", "y.jpg 1"])
        message = _refusal(lists_settings(source, _write(root, "t.txt", ["z.jpg " + label])))
        assert "t.txt line 1" in message and said in message

    @pytest.mark.parametrize("climbing", ["../secret.jpg", "amazon/../../secret.jpg", "/etc/secret.jpg"])
    def test_paths_that_climb_out_of_the_root(self, root, climbing):
        inner = root / "inner"
        write_domain(inner / "amazon", {"bike": 1, "mug": 1})
        (root / "secret.jpg").write_bytes(pictures.encoded())
        lines = [f"{path} {int('mug' in path)}" for path in _paths(inner, "amazon")]
        message = _refusal(lists_settings(_write(inner, "s.txt", [*lines, f"{climbing} 0"]), _numbered(root, "webcam")))
        assert "line 3" in message and "leads out of" in message and climbing in message
        assert "--image_root=/ takes whole paths" in message

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
        assert "are one place" in _refusal(lists_settings(path, path))

    @pytest.mark.parametrize("labels", [("0.216", "0.731", "1e-3", "0.5", "0.25", ".125", "7"), None])
    def test_measurements_and_serial_numbers(self, root, labels):
        paths = _paths(root, "amazon")
        if labels is None:
            write_domain(root / "many", {"x": 30}, first=200)
            paths, labels = _paths(root, "many"), [str(i) for i in range(30)]
        source = _write(root, "m.txt", [" ".join(line) for line in zip(paths, labels)])
        message = _refusal(lists_settings(source, _write(root, "u.txt", _paths(root, "webcam"))))
        assert f"{len(labels)} different ones for {len(labels)} images" in message and "expected classes" in message

    def test_several_numbers(self, root):
        source = _write(root, "m.txt", [f"{path} 1 0 1" for path in _paths(root, "amazon")])
        assert "several numbers after the path" in _refusal(lists_settings(source, _numbered(root, "webcam")))

    def test_a_table_of_other_columns(self, root):
        source = _write(root, "t.csv", ["x,y1,z", "1,2,3"])
        message = _refusal(lists_settings(source, _numbered(root, "webcam")))
        assert "begins with the columns x, y1, z: expected 'path label' a line, or a table with a header" in message

    def test_no_text(self, root):
        (root / "b.txt").write_bytes(b"amazon/bike/frame_0000.jpg 0\n\xff\xd8\xff\xe0 1\n")
        assert "line 2 is no UTF-8 text" in _refusal(lists_settings(root / "b.txt", _numbered(root, "webcam")))

    def test_a_zero_byte(self, root):
        source = _write(root, "z.txt", ["amazon/bike/frame_0000.jpg\0 0"])
        assert "line 1 is no text" in _refusal(lists_settings(source, _numbered(root, "webcam")))


_PATHS = (
    st.lists(
        st.text(st.characters(blacklist_characters="/\0\r\n\\", blacklist_categories=("Cs",)), min_size=1, max_size=8),
        min_size=1,
        max_size=4,
    )
    .map("/".join)
    .filter(lambda path: not on_a_path_left_behind(path + ".jpg"))
)
_LABELS = st.integers(0, 400).map(str) | st.text("abcXYZ_-äß", min_size=1, max_size=6)


@given(st.lists(st.tuples(_PATHS, _LABELS), min_size=1, max_size=20), st.sampled_from(["\n", "\r\n", "\r"]), st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_read(rows, ends, data):
    rows = [(path.strip(" \t") + ".jpg", label) for path, label in rows]
    gaps = data.draw(st.lists(st.sampled_from([" ", "\t", "   "]), min_size=len(rows), max_size=len(rows)))
    text = ends.join(path + gap + label for (path, label), gap in zip(rows, gaps))
    read = lists_lib.parse_list("list", text)
    assert [(line.path, line.label) for line in read.lines] == rows and read.known == [*read.lines]
    assert read.numbered == all(label.isdigit() for _, label in rows)


@given(st.lists(_PATHS.map(lambda path: path.strip(" \t") + ".PNG"), min_size=1, max_size=10))
def test_lines_without_labels_are_read(paths):
    read = lists_lib.parse_list("list", "\n\n".join(paths))
    assert [line.path for line in read.lines] == paths and not read.known
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
        found = lists_lib.find_images(lists_lib.ImageList("list", lines), str(tmp_path))
    except DataError as error:
        assert str(error).isprintable()
    else:
        assert found[0].startswith(str(tmp_path) + os.sep)
