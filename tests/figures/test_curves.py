"""Curves of a run, from its log."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from modelsgenesis.core.errors import DataError
from modelsgenesis.figures.curves import IDENTITY_BASELINE, MEAN_BASELINE, Log, draw_curves, draw_errors, smooth

TEXT = """step,loss,lr,cubes_per_s,val_total,val_unchanged
10,0.5,0.001,80,,
20,0.25,0.002,81,0.3,0.9
30,0.125,0.001,,0.2,0.9
"""


@pytest.fixture
def log(tmp_path):
    """A short log."""
    path = tmp_path / "log.csv"
    path.write_text(TEXT)
    return Log.read(path)


def test_log_is_read_by_name_and_empty_fields_are_left_out(log):
    """Columns are found by name; a line without a value gives no point."""
    steps, values = log.points(("val_loss", "val_total"))
    assert steps.tolist() == [20, 30]
    assert values.tolist() == [0.3, 0.2]
    assert len(log.points(("cubes_per_s",))[0]) == 2
    assert len(log.points(("nothing of this name",))[0]) == 0


def test_log_of_a_run_that_an_earlier_version_began_has_one_curve(tmp_path):
    """Its columns were renamed in between: what stands under both names is one, in the order of the steps."""
    (tmp_path / "log.csv").write_text(
        "step,val_total,val_unchanged,val_grey,val_identity_baseline,val_mean_baseline\n"
        "5,0.4,0.9,0.3,,\n"
        "10,0.2,0.8,0.3,,\n"
        "15,0.3,,,0.7,0.2\n"
    )
    log = Log.read(tmp_path / "log.csv")
    assert log.points(IDENTITY_BASELINE)[1].tolist() == [0.9, 0.8, 0.7]
    assert log.points(MEAN_BASELINE)[1].tolist() == [0.3, 0.3, 0.2]


def test_broken_logs_are_refused(tmp_path):
    """A missing file and a table without steps are refused as no log."""
    with pytest.raises(DataError, match="not there, so the run has not come to its first steps"):
        Log.read(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column `step`"):
        Log.read(tmp_path / "other.csv")


def test_curves_are_drawn_with_columns_missing(tmp_path, log):
    """A log of losses alone is drawn as well as a full one."""
    bare = Log({name: log.columns[name] for name in ("step", "loss")})
    for number, each in enumerate((log, bare)):
        assert imread(draw_curves(each, tmp_path / f"{number}.png")).shape[1] == 1300


def test_errors_are_drawn_against_leaving_cubes_as_they_are(log):
    """Training, held-out and unchanged errors each have a line with their own values."""
    axes = Figure().add_axes((0, 0, 1, 1))
    draw_errors(axes, log)
    labelled = {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in axes.lines}
    assert labelled["held-out patients"] == [0.3, 0.2]
    assert labelled["deformed cube left as it is"] == [0.9, 0.9]
    assert axes.get_yscale() == "log"


def test_smoothing_keeps_constants_and_short_lines():
    """A running mean of a constant is the constant, to its ends; short lines are left alone."""
    assert smooth(np.full(200, 3.0)) == pytest.approx(np.full(200, 3.0))
    assert smooth(np.array([1.0, 5.0])).tolist() == [1.0, 5.0]
    noisy = np.random.default_rng(0).random(400)
    assert smooth(noisy).std() < 0.5 * noisy.std()
