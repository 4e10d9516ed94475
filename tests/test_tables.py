"""One table in every form."""

from gsda_tf.tables import Cell, Table

_TABLE = Table(
    ("method", "A|W", "from"),
    [("source only", Cell("61.3", "± 1.5"), "x"), ("=1+1\x1b[31m", Cell("81.4", strong=True), None)],
    (0, -1),
)


def test_markdown_keeps_its_columns_whatever_the_names_hold():
    assert _TABLE.markdown().splitlines() == [
        r"| method | A\|W | from |",
        "|---|---:|---|",
        "| source only | 61.3 ± 1.5 | x |",
        r"| =1+1\x1b[31m | **81.4** |  |",
    ]
    assert "&lt;b>" in Table(("a",), [("<b>",)]).markdown()
    assert "| *x* | – |" in Table(("a", "b"), [("x", "–")], quoted=True).markdown()


def test_a_spreadsheet_gets_text_that_is_no_formula():
    assert _TABLE.csv() == "method,A|W,from\nsource only,61.3 ± 1.5,x\n'=1+1\\x1b[31m,81.4,\n"
