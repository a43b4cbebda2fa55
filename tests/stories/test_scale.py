"""What docs/scale.md says of a hundred thousand scans is what benchmarks/plan.py computes, by the right law."""

import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import plan as program
from benchmarks.plan import Figures, Site, plan

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
COMMAND = re.compile(r"^    python (benchmarks/plan\.py.*)$", re.MULTILINE)
COMMANDS = COMMAND.findall(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", COMMANDS)
def test_tables_are_what_the_commands_print(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command is followed by its table."""
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    program.main()
    table = capsys.readouterr().out.strip().split("\n\n")[-1]
    text = PAGE.read_text(encoding="utf-8")
    assert table.startswith("| | ")
    assert table in text.split(f"python {command}\n", 1)[1].split("##", 1)[0]


def test_the_page_has_every_case() -> None:
    """Of a server, of disks in nodes, of a slow server, of a cache."""
    assert len(COMMANDS) == 4


SITE, FIGURES = Site(), Figures()


def test_gpus_alone_take_cubes_over_their_rate() -> None:
    """3.2 million cubes a pass at 8 x 366 a second: 18.2 minutes, and a hundred passes 30.4 hours."""
    made = plan(8, SITE, FIGURES)
    assert made.limit == "GPUs"
    assert made.epoch_minutes == pytest.approx(3_200_000 / 2928 / 60)
    assert made.hours == pytest.approx(100 * 3_200_000 / 2928 / 3600)
    assert made.workers == 2
    assert made.disk_requests_s == pytest.approx(2928 * 54)


def test_a_shared_disk_does_not_grow_with_the_nodes_and_own_ones_do() -> None:
    """5 GiB/s of 637 KiB each are 8,231 cubes; eight nodes with such a disk each have eight times that."""
    shared, own = (plan(64, replace(SITE, shared=shared), FIGURES) for shared in (True, False))
    assert shared.limit == "disk, bytes"
    assert shared.limits["disk, bytes"] == pytest.approx(5 * 1024 * 1024 / 637)
    assert own.limits["disk, bytes"] == pytest.approx(8 * 5 * 1024 * 1024 / 637)
    assert own.limit == "GPUs"


def test_a_cache_spares_the_reads_that_it_holds() -> None:
    """Half of the store in it doubles what a disk allows; all of it leaves the disk alone."""
    store_gib = 100_000 * FIGURES.scan_mib / 1024
    none, half, whole = (
        plan(64, replace(SITE, cache_gib=share * store_gib), FIGURES).limits["disk, requests"] for share in (0, 0.5, 1)
    )
    assert half == pytest.approx(2 * none)
    assert whole == float("inf")


def test_between_nodes_a_gradient_crosses_twice() -> None:
    """76 MB twice over 10 Gbit/s are 122 ms a step of 64 x 32 cubes; within a node there is no such network."""
    slow = replace(SITE, network_gbit_s=10)
    assert plan(64, slow, FIGURES).limits["network"] == pytest.approx(2048 / (2 * 4 * 19_073_665 / 1.25e9))
    assert plan(8, slow, FIGURES).limits["network"] == float("inf")


def test_cores_limit_where_there_are_few() -> None:
    """Two cores a node at 3.133 ms a cube."""
    made = plan(8, replace(SITE, cores=2), FIGURES)
    assert made.limit == "cores"
    assert made.limits["cores"] == pytest.approx(2 / 0.003133)
