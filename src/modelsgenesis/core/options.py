"""Options of a verb: one frozen dataclass gives the flags, the help and the Python keywords."""

import dataclasses
import difflib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Made = TypeVar("Made")

OPTIONS = "options"  # of a verb's own function: the parameter that takes the dataclass
ARGUMENT = re.compile(r"    (\w+): (.*)")
SECTIONS = re.compile(r"^(Args|Returns|Raises|Source|Example):", re.MULTILINE)


def verb(kind: type) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """Let a function whose last parameter is `options` be called with one keyword an option.

    Its signature and docstring then name every option, so that Python's help and the command line's are one text.

    Args:
        kind: a frozen dataclass whose fields all have defaults, and whose docstring explains each below "Args:".
    """

    def wrap(body: Callable[..., Made]) -> Callable[..., Made]:
        """The function `body`, whose last argument, the options, is given as so many keywords."""
        signature = _signature(body, kind)
        own = [name for name in inspect.signature(body).parameters if name != OPTIONS]

        def called(*args: Any, **keywords: Any) -> Made:
            _refuse_unknown(body.__name__, keywords, signature)
            given = signature.bind(*args, **keywords).arguments
            chosen = {name: given.pop(name) for name in list(given) if name not in own}
            return body(**given, options=kind(**chosen))

        called.__name__, called.__qualname__, called.__module__ = body.__name__, body.__qualname__, body.__module__
        called.__doc__ = _document(body, kind)
        called.__signature__ = signature  # type: ignore[attr-defined]
        return called

    return wrap


def given_options(options: Any) -> dict[str, Any]:
    """The options that were given, for the provenance of what they made: those that differ from their defaults.

    Paths become text and tuples lists, as JSON gives them back. The seed is left out: provenance has a place for it.
    """
    usual = {field.name: field.default for field in dataclasses.fields(options)}
    values = {name: getattr(options, name) for name in usual}
    worded = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    return {name: plain(value) for name, value in worded.items() if name != "seed" and value != usual[name]}


def plain(value: Any) -> Any:
    """A value as JSON would give it back: tuples are lists."""
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _signature(body: Callable[..., Any], kind: type) -> inspect.Signature:
    written = inspect.signature(body)
    own = [parameter for name, parameter in written.parameters.items() if name != OPTIONS]
    flags = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in dataclasses.fields(kind)
    ]
    return written.replace(parameters=[*own, *flags])


def _document(body: Callable[..., Any], kind: type) -> str:
    """The function's docstring with the dataclass's lines of options at the end of its own "Args:"."""
    text = inspect.getdoc(body) or ""
    explained = _section(inspect.getdoc(kind) or "", "Args")
    ends = [found.start() for found in SECTIONS.finditer(text) if found[1] != "Args"]
    end = min(ends, default=len(text))
    head = text[:end].rstrip()
    args = "" if "\nArgs:" in head else "\n\nArgs:"
    return f"{head}{args}\n{explained}\n{text[end:]}"


def explained(document: str) -> dict[str, str]:
    """The sentences of a docstring's "Args:", by the name that they explain, each on one line."""
    found: dict[str, str] = {}
    name = ""
    for line in _section(inspect.cleandoc(document), "Args").splitlines():
        if begun := ARGUMENT.match(line):
            name, found[begun[1]] = begun[1], begun[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found


def _section(text: str, name: str) -> str:
    starts = [(found[1], found.start(), found.end()) for found in SECTIONS.finditer(text)]
    for number, (heading, _, begin) in enumerate(starts):
        if heading == name:
            end = starts[number + 1][1] if number + 1 < len(starts) else len(text)
            return text[begin:end].strip("\n").rstrip()
    return ""


def _refuse_unknown(name: str, keywords: dict[str, Any], signature: inspect.Signature) -> None:
    known = list(signature.parameters)
    for unknown in (keyword for keyword in keywords if keyword not in known):
        near = difflib.get_close_matches(unknown, known, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ";"
        raise TypeError(f"{name} has no option {unknown!r}{meant} It has {', '.join(known)}")
