"""The two benchmarks of load, in small: kills and full disks, and growth in long runs."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from benchmarks import kills, soak

QUIET = soak.Sample(stretch=0, seconds=0.0, done=0, mib=400.0, children=2, children_mib=600.0, files=40)


def samples(**a_sample: float) -> list[soak.Sample]:
    """A hundred samples, one a unit, whose numbers rise by so much a sample."""
    rising = {"seconds": 0.5, "done": 1, **a_sample}
    return [
        dataclasses.replace(QUIET, **{name: getattr(QUIET, name) + more * at for name, more in rising.items()})
        for at in range(101)
    ]


@pytest.mark.slow  # a minute: test_predict.py kills predictions quicker; this is that benchmarks/kills.py can
@pytest.mark.skipif(not shutil.which("setpriv"), reason="a killed test would leave processes without setpriv")
def test_predictions_killed_and_out_of_space_end_with_the_same_bytes(tmp_path: Path) -> None:
    """Killed, and on a disk that is full where one may be mounted; run again, it is done already."""
    words = ["--work", str(tmp_path), "--verbs", "predict", "--alone", "--kills", "1", "--disks", "1"]
    assert kills.main(words) == 0, (tmp_path / "trials.csv").read_text(encoding="utf-8")
    done = kills.read_trials(tmp_path / "trials.csv")
    assert sum(one.kills for one in done if one.test == "kills") >= 1
    assert kills.main(words) == 0
    assert kills.read_trials(tmp_path / "trials.csv") == done


def test_folders_are_compared_but_for_dates(tmp_path: Path) -> None:
    """Another byte of a mask and another loss are seen; another date and other seconds are not."""
    made = {"inputs": {}, "finished": "2020-01-01T00:00:00+00:00"}
    (tmp_path / "made.json").write_text(json.dumps(made))
    (tmp_path / "log.csv").write_text("step,time_s,loss\n10,1.5,0.25\n")
    (tmp_path / "mask.nii.gz").write_bytes(b"mask")
    before = kills.contents(tmp_path)
    (tmp_path / "made.json").write_text(json.dumps({**made, "finished": "2020-02-02T00:00:00+00:00"}))
    (tmp_path / "log.csv").write_text("step,time_s,loss\n10,2.5,0.25\n")
    assert kills.contents(tmp_path) == before
    (tmp_path / "log.csv").write_text("step,time_s,loss\n10,2.5,0.75\n")
    (tmp_path / "mask.nii.gz").write_bytes(b"Mask")
    after = kills.contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"log.csv", "mask.nii.gz"}


def test_results_of_another_commit_are_not_mixed(tmp_path: Path) -> None:
    """What one commit wrote is not compared with what another does."""
    (tmp_path / "commit").write_text("another")
    with pytest.raises(SystemExit, match="use another folder"):
        kills.check_commit(tmp_path)


def test_a_short_soak_goes_on_after_it_was_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A part that had no time is done by the next call, and not again by one more."""
    words = ["--work", str(tmp_path), "--parts", "predict", "--share", "0.01"]
    soak.main([*words, "--minutes", "0.01"])
    assert "not done yet" in capsys.readouterr().out
    assert soak.main(words) == 0
    assert len(list((tmp_path / "predict" / "records").glob("*.json"))) == 5
    sampled = soak.read_samples(tmp_path / "predict.csv")
    assert {one.stretch for one in sampled} <= {0, 1}
    assert max(one.mib for one in sampled) > 50
    assert soak.main(words) == 0
    assert soak.read_samples(tmp_path / "predict.csv") == sampled


@pytest.mark.parametrize(
    ("leak", "word"),
    [({}, "none"), ({"mib": 1.0}, "it grows"), ({"children_mib": 1.0}, "it grows"), ({"files": 1}, "it grows")],
)
def test_growth_is_seen(leak: dict[str, float], word: str, tmp_path: Path) -> None:
    """A MiB or a file more a unit is growth, of the process as of its children; as much from end to end is none."""
    part = soak.Part("predict", "case", 101, [], tmp_path, soak.predicted)
    row, well = soak.row_of(part, samples(**leak))
    assert row[-1] == word
    assert well == (word == "none")
    assert row[4] == "500.0, 500.0, 500.0"


def test_growth_is_that_of_the_longest_stretch(tmp_path: Path) -> None:
    """A process that was started anew is smaller, which hides no growth."""
    leak = [dataclasses.replace(one, stretch=1) for one in samples(mib=1.0)]
    part = soak.Part("predict", "case", 101, [], tmp_path, soak.predicted)
    row, well = soak.row_of(part, samples()[:30] + leak)
    assert not well
    assert row[2] == 2
