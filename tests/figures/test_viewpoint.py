"""How much of a labelled image is shown."""

from modelsgenesis.figures.viewpoint import widened


def test_a_box_is_widened_by_whole_voxels_but_for_the_last_digits() -> None:
    """2.1 mm are three voxels of 0.7 mm, though the quotient is a little more; two of 2 mm, and of 3 mm one."""
    box = (slice(10, 12), slice(10, 12), slice(0, 2))
    assert widened(box, (11, 11, 1), (40, 40, 40), (0.7, 2.0, 3.0), 2.1) == (slice(7, 15), slice(8, 14), slice(0, 3))
