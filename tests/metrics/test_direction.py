"""Of every score it is known which way it is better."""

import pytest

from modelsgenesis.core.errors import DataError
from modelsgenesis.evaluation.mask_comparison import METRICS
from modelsgenesis.evaluation.table_predictions import BY_PATIENT
from modelsgenesis.metrics import classification, regression
from modelsgenesis.metrics.direction import LESS_IS_BETTER, MORE_IS_BETTER, NEITHER_IS_BETTER, more_is_better
from modelsgenesis.metrics.titles import TITLES


def test_every_metric_has_one_direction() -> None:
    """All that evaluate gives, each once."""
    known = [*MORE_IS_BETTER, *LESS_IS_BETTER, *NEITHER_IS_BETTER]
    given = {*METRICS, *classification.OVERALL, *classification.OF_LABEL, *regression.METRICS, BY_PATIENT}
    assert len(known) == len(set(known))
    assert set(known) == given == set(TITLES)


def test_a_distance_is_better_small_and_a_difference_neither() -> None:
    """An overlap is better large; a metric that nobody knows is no overlap."""
    assert more_is_better("dice")
    assert not more_is_better("hd95_mm")
    with pytest.raises(DataError, match="neither more nor less is better"):
        more_is_better("difference_ml")
    with pytest.raises(DataError, match="nobody knows whether more of dize is better"):
        more_is_better("dize")
