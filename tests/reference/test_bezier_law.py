"""The non-linear map against the Bezier curve written out anew."""

import numpy as np
import pytest
from scipy import optimize

from modelsgenesis.core.randomness import generator_for
from modelsgenesis.deformations import NonLinear, Percentiles
from modelsgenesis.deformations.base.loop import Curve

PLACES = np.array([0.05, 0.2, 0.5, 0.8, 0.95], np.float32)


def bernstein(t: float, first: float, second: float) -> float:
    """A cubic Bezier coordinate from 0 to 1 with two control values."""
    return 3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t**2 * second + t**3


def slow_map(x: float, curve: Curve) -> float:
    """Solve for the parameter by bisection, then read the other coordinate."""
    t = optimize.brentq(lambda t: bernstein(t, curve.a, curve.c) - x, 0, 1, xtol=1e-14) if 0 < x < 1 else x
    return bernstein(t if curve.rising else 1 - t, curve.b, curve.d)


def ours(values: np.ndarray, curve: Curve) -> np.ndarray:
    """The compiled map of some values."""
    return NonLinear().apply(values.reshape(1, 1, -1), curve)[0, 0]


def test_map_is_the_curve() -> None:
    """200 curves at 200 places each: 1e-5 off on average, 1e-3 at most for 99.9 % of all."""
    rng = generator_for(0, 0)
    errors = []
    for index in range(200):
        curve = NonLinear().draw((1, 8, 8), generator_for(1, index))
        places = rng.random(200, dtype=np.float32)
        errors.append(np.abs(ours(places, curve) - [slow_map(float(x), curve) for x in places]))
    assert np.mean(errors) < 1e-5
    assert np.quantile(errors, 0.999) < 1e-3


def test_mean_and_spread_at_fixed_inputs_agree_with_the_slow_law() -> None:
    """3000 draws each: means within 4.5 standard errors, standard deviations within a tenth."""
    num = 3000
    mapped = np.array([ours(PLACES, NonLinear().draw((1, 8, 8), generator_for(2, k))) for k in range(num)])
    rng = generator_for(3, 0)
    slow = []
    for _ in range(num):
        a, b, c, d = rng.random(4)
        curve = Curve(a, b, c, d, bool(rng.random() < 0.5))
        slow.append([slow_map(float(x), curve) for x in PLACES])
    error = np.sqrt((mapped.var(axis=0) + np.var(slow, axis=0)) / num)
    assert (np.abs(mapped.mean(axis=0) - np.mean(slow, axis=0)) < 4.5 * error).all()
    np.testing.assert_allclose(mapped.std(axis=0), np.std(slow, axis=0), rtol=0.1)


@pytest.mark.parametrize("rising", [True, False])
def test_map_is_monotone_from_end_to_end(rising: bool) -> None:
    """Rising, 0 and 1 stay; falling, they change places; between them the order is kept or reversed."""
    ramp = np.linspace(0, 1, 4001, dtype=np.float32)
    for index in range(50):
        curve = NonLinear().draw((1, 8, 8), generator_for(4, index))._replace(rising=rising)
        out = ours(ramp, curve)
        assert (np.diff(out) * (1 if rising else -1) >= -1e-6).all()
        assert out[[0, -1]].tolist() == ([0, 1] if rising else [1, 0])


def test_curves_at_the_corners_of_the_square_are_mapped() -> None:
    """Vertical and horizontal tangents and straight lines neither fail nor leave [0, 1]."""
    ramp = np.linspace(0, 1, 257, dtype=np.float32)
    for corner in np.ndindex(2, 2, 2, 2, 2):
        out = ours(ramp, Curve(*map(float, corner[:4]), rising=bool(corner[4])))
        assert np.isfinite(out).all()
        assert 0 <= out.min() <= out.max() <= 1


def test_half_of_the_curves_rise() -> None:
    """Of 2000 draws, 1000 within 100 rise."""
    rising = sum(NonLinear().draw((1, 8, 8), generator_for(5, k)).rising for k in range(2000))
    assert rising == pytest.approx(1000, abs=100)


@pytest.mark.parametrize("range", [(-3.0, 4.0), Percentiles()], ids=str)
def test_z_scored_image_keeps_its_grey_levels(range: tuple[float, float] | Percentiles) -> None:
    """Given its range, or its percentiles, 99 % of 300 z-scored levels stay apart; taken for [0, 1], most are flat."""
    z_scores = generator_for(6, 0).standard_normal((1, 30, 30, 30))
    image = (np.clip(np.round(z_scores * 50), -150, 149) / 50).astype(np.float32)
    num_levels = len(np.unique(image))
    kept, flat = [], []
    for index in np.arange(20):
        out = NonLinear(range=range)(image, generator_for(6, index))
        kept.append(len(np.unique(out)) / num_levels)
        flat.append(len(np.unique(NonLinear()(np.clip(image, 0, 1), generator_for(6, index)))) / num_levels)
    assert num_levels > 290
    assert np.mean(kept) > 0.99
    assert np.mean(flat) < 0.45


def test_outliers_keep_their_order_and_leave_the_rest_alone() -> None:
    """Metal at 20,000 HU stays the brightest, or becomes the darkest, without pressing the tissue together."""
    tissue = np.linspace(-1000, 1000, 400, dtype=np.float32)
    image = np.append(tissue, np.linspace(3000, 20000, 100, dtype=np.float32)).reshape(1, 25, 20)
    for index in range(20):
        deformation = NonLinear(range=(-1000.0, 1000.0))
        curve = deformation.draw(image.shape, generator_for(7, index))
        out = deformation.apply(image, curve).ravel()
        assert (np.diff(out) * (1 if curve.rising else -1) >= -2e-3).all()
        assert np.ptp(out[:400]) > 1700
