"""The command line: help at once, errors in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk
from tests.conftest import write_blobs

from modelsgenesis.cli import VERBS, main
from modelsgenesis.commands.completion import completion
from modelsgenesis.commands.help_text import EXAMPLES


def test_help_lists_every_verb_and_loads_nothing_heavy() -> None:
    """Neither torch nor SimpleITK nor matplotlib is imported for the overview, nor by importing the package."""
    code = (
        "import sys, modelsgenesis\nfrom modelsgenesis.cli import main\nmain(['--help'])\n"
        "heavy = {'torch', 'SimpleITK', 'matplotlib', 'numba', 'numpy', 'tyro'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert all(verb in done.stdout for verb in VERBS)


def test_libraries_that_take_seconds_wait_until_they_are_needed() -> None:
    """No verb waits for MONAI, torchmetrics or Fabric before it knows what it is asked."""
    code = (
        "import importlib, sys\nfrom modelsgenesis.cli import VERBS\n"
        "[importlib.import_module(f'modelsgenesis.commands.{verb}') for verb in VERBS]\n"
        "slow = {'monai', 'torchmetrics', 'lightning_fabric', 'torch._dynamo'} & set(sys.modules)\n"
        "sys.exit(str(slow) if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    """genesis --version prints it."""
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"genesis {version('modelsgenesis')}\n"


def test_unknown_verb_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, as for any wrong usage."""
    assert main(["trian"]) == 2
    assert "no verb 'trian'; there are: prepare, show, pretrain" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each stage's docstring becomes its help, with its required words in capitals."""
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    assert f"genesis {verb}" in capsys.readouterr().out


def test_error_is_one_line_and_debug_shows_the_traceback(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    """A refused input is no crash."""
    assert main(["pretrain", "small", f"{tmp_path}/none", f"{tmp_path}/run"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("pretrain: ")
    assert error.count("\n") == 1
    with pytest.raises(ValueError, match="none"):
        main(["pretrain", "small", f"{tmp_path}/none", f"{tmp_path}/run", "--debug"])


def test_a_full_disk_is_one_line_wherever_it_is_met() -> None:
    """Also where no file of a run is written: the device that is always full takes what is printed."""
    command = [sys.executable, "-m", "modelsgenesis", "weights", "list"]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.startswith("weights: a file, or what is printed: could not be written (the disk is full; free")
    assert "cli.py" not in done.stderr


def test_terminal_of_few_letters_shows_the_others(tmp_path: Path) -> None:
    """Where lines of tables cannot be printed, as on some clusters and in Windows' pipes, no answer is lost."""
    scans = tmp_path / "images"
    scans.mkdir()
    (tmp_path / "labels").mkdir()
    for number in range(2):
        write_blobs(scans / f"{number}.nii.gz", number)
        sitk.WriteImage(sitk.ReadImage(scans / f"{number}.nii.gz") > 200, tmp_path / "labels" / f"{number}.nii.gz")
    code = f"from modelsgenesis.cli import main\nraise SystemExit(main(['inspect', {str(tmp_path)!r}]))"
    poor = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=poor, capture_output=True, encoding="ascii", check=False)
    assert done.returncode == 0, done.stderr
    assert "2 cases" in done.stdout


def test_public_names_are_few_and_all_there() -> None:
    """At most 25, and each loads."""
    import modelsgenesis as mg

    assert len(mg.__all__) <= 25
    assert all(getattr(mg, name) is not None for name in mg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'; it has"):
        _ = mg.nothing


def test_page_of_a_report_may_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`genesis report RUN` writes into the run; RUN PAGE elsewhere; neither is a wrong use of the command."""
    (tmp_path / "runs.csv").write_text("task,arm,cases,seed,metric,value\nt,scratch,3,0,dice,0.5\n")
    assert main(["report", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").is_file()
    assert main(["report", str(tmp_path), str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").is_file()
    assert capsys.readouterr().out.split() == [str(tmp_path / "report.html"), str(tmp_path / "page.html")]


def test_help_groups_options_and_ends_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    """No default is None; the example is of flags that there are."""
    with pytest.raises(SystemExit):
        main(["finetune", "--help"])
    text = capsys.readouterr().out
    for group in ("cubes", "network", "optimiser", "labelling", "machine"):
        assert f"{group} options" in text
    assert "(default: None)" not in text
    assert "(default: )" not in text
    assert text.index("optimiser options") < text.index("--lr FLOAT")
    assert text.rstrip().splitlines()[-1].strip().startswith("genesis finetune ")


@pytest.mark.parametrize("words", EXAMPLES)
def test_example_of_every_verb_has_its_words_and_flags(words: str) -> None:
    """As the list of flags knows them."""
    verb, *_ = words.split()
    assert verb in VERBS
    flags = (Path(__file__).parent / "commands" / "flags.txt").read_text(encoding="utf-8").split("\n")
    example = EXAMPLES[words].split()
    assert example[: 1 + len(words.split())] == ["genesis", *words.split()] or words == "weights"
    own = flags[flags.index(words) + 1 :] if words in flags else []
    end = next((k for k, line in enumerate(own) if not line.startswith(" ")), len(own))
    known = [line.split(" =")[0].strip() for line in own[:end]]
    assert all(word in known for word in example if word.startswith("--"))
    required = [word for word, line in zip(known, own, strict=False) if line.endswith("= required")]
    assert len(required) <= len(example) - 2


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (["fin"], {"finetune"}),
        (["finetune", "--tu"], {"--tune"}),
        (["finetune", "--tune", "la"], {"layer-decay"}),
        (["weights", "fe"], {"fetch"}),
        (["predict", "run"], set()),
        (["embed", "--no-fore"], {"--no-foreground"}),
    ],
)
def test_shell_completes_verbs_flags_and_choices(
    completion_script: Path, typed: list[str], completed: set[str]
) -> None:
    """In a real bash; where it knows no word, nothing is said and the shell completes files."""
    words = " ".join(f'"{word}"' for word in ["genesis", *typed])
    code = (
        f'source {completion_script}; COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _genesis; echo "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, encoding="utf-8", check=True, timeout=60)
    assert set(done.stdout.split()) == completed


@pytest.fixture(scope="module")
def completion_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `genesis --completion bash` prints."""
    path = tmp_path_factory.mktemp("completion") / "genesis.sh"
    path.write_text(completion("bash", VERBS), encoding="utf-8")
    return path


def test_completion_of_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With those there are."""
    assert main(["--completion", "csh"]) == 2
    assert "knows bash and zsh, got 'csh'" in capsys.readouterr().err
    assert main(["--completion", "zsh"]) == 0
    assert "bashcompinit" in capsys.readouterr().out
