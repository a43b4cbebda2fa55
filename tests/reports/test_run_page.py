"""genesis report: one page about a run."""

import json
import shutil

import numpy as np
import pytest

import modelsgenesis as mg
from modelsgenesis.commands.command_line import command
from modelsgenesis.commands.report import report
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.naming import describe
from modelsgenesis.core.provenance import Provenance, read_provenance
from modelsgenesis.figures.curves import IDENTITY_BASELINE, Log
from modelsgenesis.recipes import small
from modelsgenesis.reports.run_metrics import RunMetrics, headline, measure


@pytest.fixture(scope="module")
def page(tiny_run, tmp_path_factory) -> str:
    """The page of the tiny run."""
    return report(tiny_run, tmp_path_factory.mktemp("page")).read_text(encoding="utf-8")


def test_page_holds_everything_inside(page):
    """Sheet, curves and restorations are in the page; nothing is loaded from elsewhere."""
    assert page.count("data:image/webp;base64,") == 2 + 2  # the sheet, the curves, two validations
    assert "default-src &#39;none&#39;" in page
    assert 'src="http' not in page
    assert "after 6 steps" in page


def test_page_gives_numbers_and_lineage(page, tiny_run, small_store):
    """Parameters, steps, folders, provenance and commands are on the page."""
    parameters = sum(p.numel() for p in mg.load(tiny_run).parameters())
    assert f"{parameters:,}" in page
    assert "6 of 6 steps" in page
    assert str(tiny_run) in page
    assert f"genesis prepare {small_store.parent}" in page
    assert f"genesis pretrain small {small_store} {tiny_run}" in page
    assert "--size 16 16 16" in page


def test_metrics_are_those_of_the_log(tiny_run):
    """The best validation, and the error of leaving cubes as they are at that validation."""
    log = Log.read(tiny_run / "log.csv")
    metrics = measure(tiny_run, log)
    assert metrics.error == pytest.approx(np.nanmin(log.columns["val_total"]))
    assert metrics.identity_baseline == pytest.approx(np.nanmax(log.points(IDENTITY_BASELINE)[1]))
    assert metrics.ratio == pytest.approx(metrics.error / min(metrics.identity_baseline, metrics.mean_baseline))
    assert metrics.steps == 6


def test_headline_judges_the_ratio():
    """Of the error of the better way to know nothing: below half of it is good, above all of it is bad."""
    metrics = {
        "parameters": 10,
        "steps": 5,
        "time_s": 1.0,
        "cubes_per_s": 2.0,
        "identity_baseline": 0.1,
        "mean_baseline": 0.05,
        "best_step": 5,
    }
    grey, unchanged = "one grey value everywhere", "leaving the deformed cubes as they are"
    both = headline(RunMetrics(error=0.02, **metrics))[:3]
    assert both[0] == ("40 %", f"of the error of {grey} is left", "good")
    assert both[1] == ("20 %", f"of the error of {unchanged} is left", "")
    assert "grey values in [0, 1]" in both[2][1]
    assert headline(RunMetrics(error=0.04, **metrics))[0] == ("80 %", f"of the error of {grey} is left", "")
    assert headline(RunMetrics(error=0.06, **metrics))[0][2] == "bad"  # though less than of the cubes as they are
    metrics["mean_baseline"] = 0.4
    assert headline(RunMetrics(error=0.02, **metrics))[0] == ("20 %", f"of the error of {unchanged} is left", "good")
    metrics["mean_baseline"] = float("nan")  # logs of earlier versions
    assert headline(RunMetrics(error=0.02, **metrics))[0] == ("20 %", f"of the error of {unchanged} is left", "good")
    assert headline(RunMetrics(error=float("nan"), **metrics)) == [("5", "steps, no validation yet", "")]


def test_unfinished_run_is_reported_as_far_as_it_went(tiny_run, tmp_path):
    """Without provenance, network and sheets the page still has its curves, and says what is missing."""
    half = tmp_path / "half"
    half.mkdir()
    shutil.copy(tiny_run / "recipe.json", half)
    lines = (tiny_run / "log.csv").read_text().splitlines()
    rewrite(half, **{"from": None})
    (half / "log.csv").write_text("step,loss\n" + "".join(f"{k},0.5\n" for k in range(len(lines))))
    text = report(half, tmp_path / "half.html").read_text(encoding="utf-8")
    assert "steps, no validation yet" in text
    assert "no provenance yet" in text
    assert "There was no validation yet" in text
    assert text.count("data:image/webp;base64,") == 1


def test_other_folders_are_refused(tmp_path):
    """A folder that is no run is said to be none."""
    with pytest.raises(DataError, match="no run of `genesis pretrain`"):
        report(tmp_path, tmp_path / "page.html")


def test_commands_are_written_back_from_provenance(tiny_run, small_store):
    """The command names the recipe, the folders and every setting that is not the recipe's own."""
    words = command(str(tiny_run), read_provenance(tiny_run, "pretrain")).split()
    assert words[:5] == ["genesis", "pretrain", "small", str(small_store), str(tiny_run)]
    options = " ".join(words[5:])
    for expected in ("--steps 6", "--batch-size 2", "--width 2", "--precision 32-true", "--seed 3"):
        assert expected in options
    assert "--lr" not in options


def test_published_recipe_needs_no_options():
    """A recipe as published is its name alone; a stage's default arguments are not spelled out."""
    common = {"version": "0", "commit": None, "seed": 0, "finished": ""}
    as_json = json.loads(json.dumps(describe(small())))
    made = Provenance(verb="pretrain", arguments={"recipe": as_json, "seed": 0}, inputs={"my store": ""}, **common)
    assert command("run", made) == "genesis pretrain small 'my store' run"
    arguments = {"spacing_mm": [2.0, 2.0, 2.5], "modality": None, "folds": 10}
    made = Provenance(verb="prepare", arguments=arguments, inputs={"scans": ""}, **{**common, "seed": None})
    assert command("store", made) == "genesis prepare scans store --spacing 2 2 2.5"


@pytest.fixture
def half_run(tiny_run, tmp_path):
    """A run that was stopped after three steps."""
    half = shutil.copytree(tiny_run, tmp_path / "half")
    (half / "made.json").unlink()
    lines = (half / "log.csv").read_text().splitlines()
    (half / "log.csv").write_text("\n".join(lines[:2]) + "\n")
    return half


def rewrite(run, **changes):
    """Change a run's settings."""
    settings = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps({**settings, **changes}))


def test_unfinished_run_says_how_far_it_came(half_run, small_store):
    """Step, steps and time so far are on the page, and the sheet, since the settings name the store."""
    rewrite(half_run, **{"from": str(small_store)})
    text = report(half_run, half_run).read_text(encoding="utf-8")
    assert "This run is not finished" in text
    assert "step 3 of 6" in text
    assert "original, deformations, restoration and error in three planes" in text
    assert "no longer" not in text


def test_unfinished_run_without_its_network_still_gets_a_sheet(half_run, small_store):
    """Before the first validation there is no network, but what it will see can be drawn."""
    rewrite(half_run, **{"from": str(small_store)})
    (half_run / "model.safetensors").unlink()
    text = report(half_run, half_run).read_text(encoding="utf-8")
    assert "there is no trained network yet" in text
    assert "No sample could be drawn" not in text


def test_store_that_was_never_named_is_not_said_to_have_moved(half_run):
    """An unfinished run of an older version does not say where its store is."""
    rewrite(half_run, **{"from": None})
    text = report(half_run, half_run).read_text(encoding="utf-8")
    assert "The store is not named by this unfinished run" in text
    rewrite(half_run, **{"from": "moved/away"})
    assert "no longer where the run found it" in report(half_run, half_run).read_text(encoding="utf-8")


@pytest.mark.parametrize("settings", ["{}", "[]", '{"recipe": {}, "seed": 0}', '{"recipe": null, "seed": 0}'])
def test_settings_that_are_none_are_refused(tiny_run, tmp_path, settings):
    """A recipe.json of something else is said to be no run's."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "recipe.json").write_text(settings)
    with pytest.raises(DataError, match=r"not the settings of a run|should hold a JSON object"):
        report(run, tmp_path / "page.html")


def test_run_without_a_log_is_refused_with_a_remedy(half_run, tmp_path):
    """No Errno, but what to do."""
    (half_run / "log.csv").unlink()
    with pytest.raises(DataError, match=r"has not come to its first steps; go on with genesis pretrain"):
        report(half_run, tmp_path / "page.html")


def test_report_is_html_only(tiny_run, tmp_path):
    """A name that promises another format is refused."""
    with pytest.raises(DataError, match=r"ends in .html or a folder, got page.pdf"):
        report(tiny_run, tmp_path / "page.pdf")
    assert not (tmp_path / "page.pdf").exists()
