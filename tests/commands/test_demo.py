"""genesis demo: the whole line on made-up scans."""

import json
import os
import shutil
import signal
import threading

import pytest

from modelsgenesis.commands.demo import demo, seconds_a_step, timed_recipe
from modelsgenesis.core.errors import DataError
from modelsgenesis.core.naming import describe
from modelsgenesis.core.provenance import lineage


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
    begun = {"recipe": describe(tiny_recipe.but(plan={"steps": 77})), "seed": 0}
    (tmp_path / "recipe.json").write_text(json.dumps(begun))
    plan = timed_recipe(tmp_path, out / "store", 1.0, 0).plan
    assert (plan.steps, plan.warmup_steps, plan.validate_every) == (77, 7, 15)


def test_impossible_demos_are_refused(tmp_path):
    """One scan cannot be both trained on and held out, and no time is no training."""
    with pytest.raises(DataError, match="at least 2 scans"):
        demo(tmp_path, scans=1)
    with pytest.raises(DataError, match="at least 2 scans and some seconds"):
        demo(tmp_path, seconds=0)


def test_demo_stopped_in_training_stops_there(out, tmp_path, capsys):
    """A signal ends the demo without a report; the same command goes on."""
    into = tmp_path / "stopped"
    shutil.copytree(out / "scans", into / "scans")
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    done = threading.Event()
    asking = threading.Thread(target=ask_to_stop, args=(into / "run" / "recipe.json", done))
    asking.start()
    try:
        assert demo(into, steps=500, scans=3, size=(48, 40, 36)) == into / "run"
    finally:
        done.set()
        asking.join()
        signal.signal(signal.SIGUSR1, before)
    assert not (into / "report.html").exists()
    printed = capsys.readouterr().err
    assert "the same command goes on" in printed.partition("4/5")[2]
    assert "5/5" not in printed


def ask_to_stop(begun, done):
    """Once a run has begun, send it the signal that a cluster sends."""
    while not done.wait(0.1):
        if begun.exists():
            os.kill(os.getpid(), signal.SIGUSR1)


def test_scans_of_another_demo_are_refused(out):
    """Scans of another size, seed or number are not taken for the ones asked for."""
    with pytest.raises(DataError, match=r"has size \(48, 40, 36\), wanted \(64, 40, 36\)"):
        demo(out, steps=2, scans=3, size=(64, 40, 36))
    with pytest.raises(DataError, match=r"torso-002.nii.gz of another demo"):
        demo(out, steps=2, scans=2, size=(48, 40, 36))
    with pytest.raises(DataError, match=r"torso-000.nii.gz of another demo"):
        demo(out, steps=2, scans=3, size=(48, 40, 36), seed=7)
    assert len([*(out / "scans").iterdir()]) == 3


def test_demo_of_no_steps_is_refused_before_anything_is_made(tmp_path):
    """Nothing is written."""
    with pytest.raises(DataError, match="at least 1 step of training, got 0"):
        demo(tmp_path, steps=0)
    assert not any(tmp_path.iterdir())
