"""Words that a shell completes: `genesis --completion bash` prints a script with every verb, flag and choice in it."""

import importlib
import inspect
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Union, get_args, get_origin

from modelsgenesis.core.errors import GenesisError

SHELLS = ("bash", "zsh")
HEAD = """# {shell} completion of genesis: eval "$(genesis --completion {shell})", in ~/.{shell}rc for every shell.
"""
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
BODY = """_genesis() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="{verbs}"
  else
    case "${{COMP_WORDS[1]}} $before" in
{choices}
    esac
    if [ -z "$words" ]; then
      case "${{COMP_WORDS[1]}}" in
{flags}
      esac
      case "$word" in -*) ;; *) [ "${{COMP_WORDS[1]}} $COMP_CWORD" = "weights 2" ] || words="" ;; esac
    fi
  fi
  [ -n "$words" ] && COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _genesis genesis
"""


def completion(shell: str, verbs: Iterable[str]) -> str:
    """Write the script that a shell reads; where it has no word, files are completed.

    Args:
        shell: bash or zsh.
        verbs: of the command line.
    Raises:
        GenesisError: it is another shell.
    """
    if shell not in SHELLS:
        raise GenesisError(f"--completion knows {' and '.join(SHELLS)}, got {shell!r}")
    verbs = list(verbs)
    flags, choices = [], []
    for verb in verbs:
        stage = getattr(importlib.import_module(f"modelsgenesis.commands.{verb}"), verb)
        stages = stage if isinstance(stage, dict) else {"": stage}
        words = sorted({word for one in stages.values() for word, _ in _flags(one)} | (stages.keys() - {""}))
        flags.append(f'        {verb}) words="{" ".join([*words, "--help"])}" ;;')
        for word, known in sorted({each for one in stages.values() for each in _flags(one) if each[1]}):
            choices.append(f'      "{verb} {word}") words="{" ".join(known)}" ;;')
    body = BODY.format(verbs=" ".join(verbs), choices="\n".join(choices), flags="\n".join(flags))
    return HEAD.format(shell=shell) + (ZSH if shell == "zsh" else "") + body


def _flags(stage: Callable[..., Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The flags of a stage as they are typed, each with the words that it takes, if they are known."""
    for name, parameter in inspect.signature(stage, eval_str=True).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            word = name.rstrip("_").replace("_", "-")
            yield f"--no-{word}" if parameter.default is True else f"--{word}", tuple(_words(parameter.annotation))


def _words(annotation: Any) -> Iterator[str]:
    """The words of a Literal, also within a tuple or beside None."""
    if get_origin(annotation) is Literal:
        yield from (str(each) for each in get_args(annotation))
    elif get_origin(annotation) in (Union, types.UnionType, tuple):
        for part in get_args(annotation):
            yield from _words(part)
