"""The command `genesis`: a verb is a stage, its arguments are the stage's own."""

import functools
import gc
import importlib
import inspect
import io
import logging
import sys
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
    "report": "RUN [PAGE]: one self-contained HTML page about a run or a benchmark",
    "view": "WHAT [PAGE]: scroll through scans, predictions and samples in a browser, offline",
    "weights": "ACTION: networks that others trained: list, show, fetch, recalibrate; yours for others: push, pull",
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
            "genesis VERB --help says the rest; --debug shows the traceback of an error; --version.",
            "",
        ]
    )


def _run(verb: str, arguments: list[str], *, debug: bool) -> int:
    import tyro

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
        stage = _for_the_shell(stage)
    try:
        made = run(
            stage,
            prog=f"genesis {verb}",
            args=arguments,
            config=(tyro.conf.PositionalRequiredArgs, tyro.conf.FlagCreatePairsOff),
        )
        sys.stdout.write(printable(f"{made}\n"))
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


def _for_the_shell(stage: Callable[..., Any]) -> Callable[..., Any]:
    """The stage with its required arguments as plain words, since in Python they may be paths or objects too."""

    def with_words(*args: Any, **settings: Any) -> Any:
        return stage(*args, **settings)

    import tyro

    signature = inspect.signature(stage, eval_str=True)

    def spelled(name: str, parameter: inspect.Parameter) -> inspect.Parameter:
        if parameter.default is parameter.empty:
            return parameter.replace(annotation=Annotated[str, tyro.conf.arg(metavar=name.upper())])
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:  # it may be left out, and has no flag in Python either
            optional = tyro.conf.Positional[str | None]
            return parameter.replace(annotation=Annotated[optional, tyro.conf.arg(metavar=name.upper())])
        if name.endswith("_"):  # a word of Python's own, such as from
            return parameter.replace(annotation=Annotated[parameter.annotation, tyro.conf.arg(name=name[:-1])])
        return parameter

    parameters = [spelled(name, parameter) for name, parameter in signature.parameters.items()]
    # Not functools.wraps: it would lead tyro back to the annotations of the stage.
    with_words.__doc__ = stage.__doc__
    with_words.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    with_words.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return with_words
