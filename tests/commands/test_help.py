"""Every verb has the words and flags that users know, with their defaults; tests/commands/flags.txt lists them."""

import inspect
from pathlib import Path

import pytest
from tests.commands.read_help import flags_of

import modelsgenesis as mg
from modelsgenesis.cli import main
from modelsgenesis.commands.weights import weights

LIST = Path(__file__).with_name("flags.txt")
VERBS = ["prepare", "show", "pretrain", "inspect", "finetune", "predict", "embed", "evaluate", "benchmark", "probe",
         "choose", "report", "view", "export", "demo", *(f"weights {action}" for action in weights)]  # fmt: skip


def listed() -> dict[str, dict[str, str]]:
    """The committed list: a verb a line, and below it its flags and their defaults."""
    verbs: dict[str, dict[str, str]] = {}
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if not line.startswith(" "):
            flags = verbs.setdefault(line, {})
        else:
            name, _, default = line.strip().partition(" =")
            flags[name] = default.strip().replace("None", "")
    return verbs


@pytest.mark.parametrize("verb", VERBS)
def test_flags_and_defaults_are_those_of_the_list(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flag that is missing, new, or has another default is a change that users see."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*verb.split(), "--help"])
    assert flags_of(capsys.readouterr().out) == listed()[verb]


def test_list_has_every_verb_and_no_other() -> None:
    """Nothing is left unchecked."""
    assert sorted(listed()) == sorted(VERBS)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if " " not in verb])
def test_python_and_the_command_line_have_the_same_words(verb: str) -> None:
    """Each flag is a keyword of the public function, and each has its line in the docstring."""
    stage = getattr(mg, verb)
    parameters = inspect.signature(stage).parameters
    words = {name if flag.isupper() else flag for flag in listed()[verb] for name in [flag.lower()]}
    flags = {
        name if one.kind is one.POSITIONAL_OR_KEYWORD else f"--{name.strip('_').replace('_', '-')}"
        for name, one in parameters.items()
    }
    assert {word.replace("--no-", "--") for word in words} == flags
    document = inspect.getdoc(stage) or ""
    assert all(f"\n    {name}: " in document for name in parameters)


def test_unknown_option_names_the_known() -> None:
    """In Python as on the command line, with the nearest one first."""
    with pytest.raises(TypeError, match=r"finetune has no option 'case'; did you mean 'cases'\? It has data, into, "):
        mg.finetune("data", "into", case=3)
    with pytest.raises(TypeError, match="missing a required argument: 'into'"):
        mg.finetune("data")
