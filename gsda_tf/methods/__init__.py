"""Methods by name. Every `Method` of a module in this folder is one, as is one that a user names by its file."""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.machinery
import importlib.util
import inspect
import os
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any

from gsda_tf.errors import UserError, choose, explained
from gsda_tf.files import path_digest
from gsda_tf.methods.base import Method, Term


@functools.cache
def _found() -> tuple[dict[str, type[Method]], dict[str, type[Term]]]:
    classes: dict[type, None] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        loaded = importlib.import_module(f"{__name__}.{module}")
        named = (c for _, c in inspect.getmembers(loaded, inspect.isclass) if issubclass(c, (Method, Term)) and c.name)
        classes.update(dict.fromkeys(sorted(named, key=lambda c: inspect.getsourcelines(c)[1])))
    kinds = [{c.name: c for c in classes if issubclass(c, kind)} for kind in (Method, Term)]
    return kinds[0], kinds[1]


def register(kind: type[Method]) -> None:
    """Makes a class a method of this process, by its name.

    Raises:
      UserError: it is no method, or the name is taken.
    """
    if not _is_method(kind):
        raise UserError(f"{kind!r} is no Method with a name and a title.")
    taken = _found()[0].get(kind.name)
    if taken is not None and taken.__module__.startswith(f"{__name__}."):
        raise UserError(f"There is a method called {kind.name} already: give yours another name.")
    _found()[0][kind.name] = kind


def method_names() -> tuple[str, ...]:
    """Of the methods of this package: source only, the rows of the paper's ablation, then all others."""
    rows = ("source_only", "domain", "domain_class", "domain_group_class", "gsda")
    return (*rows, *sorted(set(_found()[0]) - set(rows)))


def term_names() -> tuple[str, ...]:
    """Returns what `--add` takes."""
    return tuple(sorted(_found()[1]))


def get_method(name: str) -> type[Method]:
    """The method called `name`.

    Args:
      name: of this package, or FILE.py:Name. Such a file is a program, and is run; anew once it has changed.

    Raises:
      UserError: naming the choices.
    """
    path, colon, attribute = name.rpartition(":")
    if not colon:
        return _found()[0][choose("method", name, method_names())]
    if not os.path.isfile(path):
        raise UserError(f"--method={name}: there is no file {path}; expected FILE.py:Name.")
    return _from_file(name, path, attribute, path_digest(path))


@functools.lru_cache(maxsize=16)
def _from_file(name: str, path: str, attribute: str, digest: str) -> type[Method]:
    loader = importlib.machinery.SourceFileLoader(os.path.splitext(os.path.basename(path))[0], path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    with explained(f"--method={name}: {path} cannot be imported", "Mend it."):
        # Not what was compiled before, which is told from it by size and time alone.
        exec(loader.source_to_code(loader.get_data(path), path), vars(module))
    found = getattr(module, attribute, None)
    if not _is_method(found):
        known = ", ".join(n for n, c in vars(module).items() if _is_method(c)) or "none in it"
        raise UserError(
            f"--method={name}: {attribute} in {path} is no Method with a name and a title; there is {known}."
        )
    return found


def _is_method(kind: Any) -> bool:
    return bool(inspect.isclass(kind) and issubclass(kind, Method) and kind.name and kind.title)


def own_digest(name: str) -> str:
    """Returns a digest of a method's code if that is none of this package's: of its file, or of its class; else "".

    Args:
      name: as `get_method` takes it.
    """
    if ":" in name:
        return path_digest(name.rpartition(":")[0])
    kinds = get_method(name).__mro__
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] not in ("gsda_tf", "builtins")]
    return hashlib.sha256("".join(map(_code, own)).encode()).hexdigest() if own else ""


def _code(part: Any) -> str:
    """The text of a class or function; of a class in a notebook, which has none, that of its functions."""
    with contextlib.suppress(OSError, TypeError):
        return inspect.getsource(part)
    if inspect.isclass(part):
        return "".join(_code(each) for _, each in sorted(vars(part).items()) if inspect.isfunction(each))
    return part.__code__.co_code.hex()


def get_terms(names: Sequence[str]) -> tuple[type[Term], ...]:
    """The terms of `--add`.

    Raises:
      UserError: naming the choices.
    """
    return tuple(_found()[1][choose("term of --add", name, term_names())] for name in names)


def split(label: str) -> tuple[str, tuple[str, ...]]:
    """A method and the terms added to it: "gsda+mcc" is ("gsda", ("mcc",))."""
    method, *add = label.split("+")
    return method, tuple(add)


def label(method: str, add: Sequence[str] = ()) -> str:
    """Returns what a run of a method with added terms is called: "gsda+mcc"."""
    return "+".join([get_method(method).name, *add])


def title(label: str) -> str:
    """Returns what tables call it; a method of the user's own goes by its name."""
    method, add = split(label)
    known = _found()[0]
    return " + ".join([known[method].title if method in known else method, *(term.upper() for term in add)])


def options_of(method: str, add: Sequence[str] = ()) -> Any:
    """The options of a method and of the terms added to it, with their defaults: a frozen dataclass."""
    kinds = [get_method(method), *get_terms(add)]
    bases = tuple(dict.fromkeys(kind.Options for kind in kinds if dataclasses.fields(kind.Options)))
    bases = tuple(b for b in bases if not any(o is not b and issubclass(o, b) for o in bases))
    return dataclasses.make_dataclass("Options", (), bases=bases, frozen=True)()


def prescribed(method: str, add: Sequence[str], benchmark: str) -> dict[str, Any]:
    """Returns what was published for the options of a method, and of terms, on a benchmark."""
    values: dict[str, Any] = {}
    for kind in (*get_terms(add), get_method(method)):
        values.update(kind.published.get(benchmark, {}))
    return values


def owners(option: str) -> list[str]:
    """The methods, and terms as "--add=NAME", that have an option of this name."""
    methods, terms = _found()
    named = [*methods.items(), *((f"--add={name}", term) for name, term in terms.items())]
    return [name for name, kind in named if any(f.name == option for f in dataclasses.fields(kind.Options))]


def all_options() -> Mapping[str, dataclasses.Field]:
    """Every option of every method and term of this package by name; where several share a name, the first."""
    methods, terms = _found()
    found: dict[str, dataclasses.Field] = {}
    for kind in (*(methods[name] for name in method_names()), *terms.values()):
        for field in dataclasses.fields(kind.Options):
            found.setdefault(field.name, field)
    return found
