"""Methods: which levels are aligned, and whether they are kept in step.

The rows of the paper's ablation (Table 1) are values of one type. A method that only differs in these choices
is a line here.
"""

from __future__ import annotations

import dataclasses

from gsda_tf.errors import choose


@dataclasses.dataclass(frozen=True)
class Method:
    """What a run aligns.

    Attributes:
      name: as in `--method`.
      title: as in tables.
      levels: of "domain", "group" and "class", those that have discriminators.
      synchronized: whether the levels' gradients are synchronized, equations (10)-(12).
      uses_target: whether target images take part in training at all.
    """

    name: str
    title: str
    levels: tuple[str, ...]
    synchronized: bool = False
    uses_target: bool = True


METHODS = {
    method.name: method
    for method in (
        Method("source_only", "source only", (), uses_target=False),
        Method("domain", "domain (DANN)", ("domain",)),
        Method("domain_class", "+ class", ("domain", "class")),
        Method("domain_group_class", "+ group", ("domain", "group", "class")),
        Method("gsda", "+ synchronization (GSDA)", ("domain", "group", "class"), synchronized=True),
    )
}


def get_method(name: str) -> Method:
    """The method called `name`.

    Raises:
      UserError: naming the choices.
    """
    return METHODS[choose("method", name, METHODS)]
