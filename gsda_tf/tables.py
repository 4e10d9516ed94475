"""One table, as a CSV file, in Markdown, which a terminal shows, too, or as the pages' templates show it."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from typing import Any

from gsda_tf.errors import shown
from gsda_tf.files import cell

MISSING = "–"
"""Stands where there is no number."""


@dataclasses.dataclass(frozen=True)
class Cell:
    """The content of one place.

    Attributes:
      text: to be read first.
      small: what belongs to it, such as a deviation.
      strong: whether it stands out.
      link: relative address of a page, for HTML.
    """

    text: str
    small: str = ""
    strong: bool = False
    link: str = ""

    def __str__(self) -> str:
        return shown(f"{self.text} {self.small}".strip())


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under headings.

    Attributes:
      head: headings.
      rows: a `Cell`, a text, a number or None at each place; None is an empty cell.
      words: numbers of the columns that hold words; the others hold numbers, which end at the right.
      quoted: whether the rows are of others, not of this project.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    words: Sequence[int] = (0,)
    quoted: bool = False

    @property
    def cells(self) -> list[list[Cell]]:
        """All rows, every place as a `Cell`."""
        return [
            [value if isinstance(value, Cell) else Cell("" if value is None else str(value)) for value in row]
            for row in self.rows
        ]

    def holds_words(self, column: int) -> bool:
        """Returns whether a column, 0.., holds words."""
        return column in self.words or column - len(self.head) in self.words

    def csv(self) -> str:
        """Returns a CSV file in which text is no formula; see `files.cell`."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.head)
        writer.writerows([cell(str(value) if isinstance(value, Cell) else value) for value in row] for row in self.rows)
        return text.getvalue()

    def markdown(self) -> str:
        """Returns the table in Markdown, without a line break at its end."""
        rules = ["---" if self.holds_words(i) else "---:" for i in range(len(self.head))]
        lines = [_markdown(map(Cell, self.head)), "|" + "|".join(rules) + "|"]
        return "\n".join([*lines, *(_markdown(row, self.quoted) for row in self.cells)])


def markdown_text(text: str) -> str:
    """Returns text that Markdown shows as it is: no markup, no end of a column, on one line."""
    return shown(text).replace("|", r"\|").replace("<", "&lt;")


def _markdown(row: Iterable[Cell], quoted: bool = False) -> str:
    texts = []
    for each in row:
        text = markdown_text(str(each))
        mark = "**" if each.strong else "*" if quoted and text not in ("", MISSING) else ""
        texts.append(f"{mark}{text}{mark}")
    return "| " + " | ".join(texts) + " |"
