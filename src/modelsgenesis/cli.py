"""The command `genesis`: a verb is a stage, its arguments are the stage's own."""

import dataclasses
import functools
import gc
import importlib
import inspect
import io
import logging
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any

VERBS = {
    "prepare": "SCANS STORE: read a folder or table of scans of any format into a store",
    "show": "RECIPE STORE PICTURE: see what the network will see, and how it restores it",
    "pretrain": "RECIPE STORE RUN: train a network to restore deformed cubes",
    "inspect": "DATA: labelled cases before training on them: what they hold, and what is wrong",
    "finetune": "DATA RUN: train a pre-trained network for a task, on labelled cases",
    "predict": "RUN SCANS OUT: masks, classes or numbers for new scans, each mask on its source",
    "embed": "NETWORK SCANS OUT: a vector a scan, from what a network knows without labels",
    "evaluate": "PREDICTIONS TRUTH SCORES: how good predictions are, case by case, with intervals",
    "benchmark": "DATA OUT: what pre-training buys: every start, with few and many labels, again and again",
    "probe": "EMBEDDINGS LABELS OUT: what vectors say of labels, with few and many, in seconds",
    "choose": "EMBEDDINGS TABLE: which cases to label next",
    "report": "RUN [PAGE]: one self-contained HTML page about a run, a benchmark or embeddings",
    "view": "WHAT [PAGE]: scroll through scans, predictions and samples in a browser, offline",
    "weights": "ACTION: networks that others trained: list, show, fetch, recalibrate; yours: quantize, push, pull",
    "export": "RUN INTO: the network for another program, with a model card",
    "demo": "OUT: the whole line on made-up scans, in minutes",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; errors are one line on stderr, with --debug a traceback.

    Returns:
        The exit status: 0 done or stopped on request, 1 refused, 2 wrong usage, 130 interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without some letter shows ? there, and all the rest
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [word for word in given if word != "--debug"]
    if not given or given[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return 0
    if given[0] == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"genesis {version('modelsgenesis')}\n")
        return 0
    if given[0] == "--completion":
        return _complete(given[1:])
    verb, *rest = given
    if verb not in VERBS:
        sys.stderr.write(f"genesis: no verb {verb!r}; there are: {', '.join(VERBS)}\n")
        return 2
    return _run(verb, rest, debug=debug)


def overview() -> str:
    """The help of `genesis` itself, made without loading anything."""
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {text}" for verb, text in VERBS.items()]
    return "\n".join(
        [
            "genesis: from unlabelled scans to networks that need fewer labels",
            "",
            *lines,
            "",
            "genesis VERB --help says the rest; --debug shows the traceback of an error; --version;",
            "--completion bash, or zsh, prints what makes the shell complete verbs and flags.",
            "",
        ]
    )


def _complete(words: Sequence[str]) -> int:
    """Print the script of a shell's completion."""
    from modelsgenesis.commands.completion import completion
    from modelsgenesis.core.errors import GenesisError

    try:
        sys.stdout.write(completion(words[0] if words else "", VERBS))
    except GenesisError as error:
        sys.stderr.write(f"genesis: {error}\n")
        return 2
    return 0


def _run(verb: str, arguments: list[str], *, debug: bool) -> int:
    import tyro

    from modelsgenesis.commands.help_text import example_of
    from modelsgenesis.core.console import printable
    from modelsgenesis.core.errors import GenesisError, MissingExtraError, refusal
    from modelsgenesis.core.files import FULL, reason
    from modelsgenesis.core.importing import without_collecting

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    with without_collecting():
        stage = getattr(importlib.import_module(f"modelsgenesis.commands.{verb}"), verb)
    gc.freeze()  # what was imported stays
    run: Callable[..., Any] = tyro.cli
    if isinstance(stage, dict):  # of actions, each a stage of its own
        stage = {action: _for_the_shell(one) for action, one in stage.items()}
        run = functools.partial(tyro.extras.subcommand_cli_from_dict, description=VERBS[verb])
    else:
        arguments, several = _several_last(stage, arguments)
        stage = _for_the_shell(stage, several=several)
    try:
        made = run(
            stage,
            prog=f"genesis {verb}",
            args=arguments,
            config=(tyro.conf.PositionalRequiredArgs, tyro.conf.FlagCreatePairsOff),
        )
        sys.stdout.write(printable(f"{made}\n"))
    except SystemExit as stop:
        if stop.code in (0, None) and {"-h", "--help"} & set(arguments):
            sys.stdout.write(f"For example:\n\n    {example_of([verb, *arguments])}\n\n")
        raise
    except (GenesisError, MissingExtraError) as error:
        if debug:
            raise
        sys.stderr.write(printable(f"{verb}: {error}\n"))
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        sys.stderr.close()
        return 141
    except OSError as error:  # of a file that no reader or writer of ours answers for
        why = f"could not be written ({reason(error)})" if error.errno in FULL else refusal(error)
        if debug or not why:
            raise
        sys.stderr.write(printable(f"{verb}: {error.filename or 'a file, or what is printed'}: {why}\n"))
        return 1
    return 0


def _for_the_shell(stage: Callable[..., Any], *, several: bool = False) -> Callable[..., Any]:
    """The stage with its required arguments as plain words and its options in groups, as the help shows them.

    In Python the required arguments may be paths or objects too.

    Args:
        stage: of a verb.
        several: an argument that may be several words takes them.
    """
    import tyro

    from modelsgenesis.commands.help_text import GROUPS, group_of
    from modelsgenesis.core.options import explained

    signature = inspect.signature(stage, eval_str=True)
    said = explained(stage.__doc__ or "")

    def with_words(*args: Any, **settings: Any) -> Any:
        for name in titles:
            if (group := settings.pop(name, None)) is not None:
                settings |= {field.name: getattr(group, field.name) for field in dataclasses.fields(group)}
        return stage(*args, **settings)

    titles = [f"{name}s" if name in signature.parameters else name for name in GROUPS]
    spelled = {
        name: _spelled(name, one, said.get(name, ""), several=several) for name, one in signature.parameters.items()
    }
    own = {name: one for name, one in spelled.items() if one.kind is not one.KEYWORD_ONLY or not group_of(name)}
    parameters = list(own.values())
    for group, title in zip(GROUPS, titles, strict=True):
        members = [one for name, one in spelled.items() if name not in own and group_of(name) == group]
        if members:
            kind = dataclasses.make_dataclass(title, [(one.name, one.annotation, one.default) for one in members])
            kind.__doc__ = ""
            annotation = tyro.conf.OmitArgPrefixes[kind]  # type: ignore[valid-type]
            parameters.append(
                inspect.Parameter(title, inspect.Parameter.KEYWORD_ONLY, default=kind(), annotation=annotation)
            )
    # Not functools.wraps: it would lead tyro back to the annotations of the stage.
    with_words.__doc__ = stage.__doc__
    with_words.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    with_words.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return with_words


def _may_be_several(parameter: inspect.Parameter) -> bool:
    """Whether a required argument may be a tuple: its words are then all but those of the arguments after it."""
    return any(typing.get_origin(one) is tuple for one in typing.get_args(parameter.annotation))


def _several_last(stage: Callable[..., Any], arguments: list[str]) -> tuple[list[str], bool]:
    """Put the words of no option last where there are more than required arguments, and one of those takes several.

    A parser does not know otherwise which word is the last one's. Of no option are the words at the beginning, and
    those behind a flag that is on or off.

    Returns:
        The arguments, and whether there are more.
    """
    parameters = inspect.signature(stage, eval_str=True).parameters.values()
    required = [one for one in parameters if one.default is one.empty]
    switches = {f"--{one.name.replace('_', '-')}" for one in parameters if one.annotation is bool}
    own: dict[bool, list[str]] = {True: [], False: []}  # words of no option, and all others
    on: list[str] = []
    is_own = True
    for word in arguments:
        if word.startswith("-"):
            is_own = word in switches
            (on if is_own else own[False]).append(word)
        else:
            own[is_own].append(word)
    if len(own[True]) <= len(required) or not any(map(_may_be_several, required)):
        return arguments, False
    return [*own[False], *on, *own[True]], True


def _spelled(name: str, parameter: inspect.Parameter, text: str, *, several: bool) -> inspect.Parameter:
    """A parameter as it is typed: words in capitals, flags without the underline that Python needs."""
    import tyro

    if parameter.default is parameter.empty:
        kind: Any = tuple[str, ...] if several and _may_be_several(parameter) else str
        return parameter.replace(annotation=Annotated[kind, tyro.conf.arg(metavar=name.upper())])
    if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:  # it may be left out, and has no flag in Python either
        optional = tyro.conf.Positional[str | None]
        return parameter.replace(
            annotation=Annotated[optional, tyro.conf.arg(metavar=name.upper(), help_behavior_hint=_hint)]
        )
    markers: Any = tyro.conf  # which are types to mypy, and are applied to values here
    kind = markers.DisallowNone[parameter.annotation] if parameter.default is None else parameter.annotation
    flag = name[:-1] if name.endswith("_") else None  # a word of Python's own, such as from
    return parameter.replace(annotation=Annotated[kind, tyro.conf.arg(name=flag, help=text, help_behavior_hint=_hint)])


def _hint(default: str) -> str:
    """What the help says of a default; nothing where there is none."""
    return f"(default: {default})" if default not in ("", "None") else ""
