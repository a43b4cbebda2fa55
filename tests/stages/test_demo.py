"""genesis demo: the whole line on made-up scans."""

import json

import pytest

from modelsgenesis.core.errors import DataError
from modelsgenesis.core.made import lineage
from modelsgenesis.stages.demo import demo, seconds_a_step, timed_recipe


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A demo of a few steps on three small torsos."""
    into = tmp_path_factory.mktemp("demo")
    page = demo(into, steps=2, scans=3, size=(48, 40, 36))
    assert page == into / "report.html"
    return into


def test_demo_walks_the_whole_line(out):
    """Scans, store, sheet, run and report are there, and the report's lineage reaches the store."""
    assert len(list((out / "scans").glob("*.nii.gz"))) == 3
    assert (out / "sheet.png").stat().st_size > 10_000
    assert (out / "run" / "model.safetensors").is_file()
    assert [made.verb for _, made in lineage(out / "run")] == ["pretrain", "prepare"]
    assert "genesis pretrain small" in (out / "report.html").read_text(encoding="utf-8")


def test_demo_run_again_trains_no_more(out):
    """The number of steps is kept, so that the same command finds the run done."""
    weights = (out / "run" / "model.safetensors").read_bytes()
    made = (out / "run" / "made.json").stat().st_mtime_ns
    demo(out, scans=3, size=(48, 40, 36))
    assert (out / "run" / "model.safetensors").read_bytes() == weights
    assert (out / "run" / "made.json").stat().st_mtime_ns == made


def test_steps_are_measured_once_and_then_kept(out, tmp_path, tiny_recipe):
    """The plan of a run that was begun decides; a new one fits the time."""
    assert timed_recipe(out / "run", out / "store", 1e6, 0).plan.steps == 2
    assert 0 < seconds_a_step(tiny_recipe, out / "store", 0) < 60
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": {"plan": {"steps": 77}}}))
    plan = timed_recipe(tmp_path, out / "store", 1.0, 0).plan
    assert (plan.steps, plan.warmup_steps, plan.validate_every) == (77, 7, 15)


def test_impossible_demos_are_refused(tmp_path):
    """One scan cannot be both trained on and held out, and no time is no training."""
    with pytest.raises(DataError, match="at least 2 scans"):
        demo(tmp_path, scans=1)
    with pytest.raises(DataError, match="at least 2 scans and some seconds"):
        demo(tmp_path, seconds=0)
