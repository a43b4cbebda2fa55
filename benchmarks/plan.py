"""How long a pre-training of very many scans takes on some GPUs, and what limits it: arithmetic from measured figures.

Run: python benchmarks/plan.py [--scans 100000] [--gpus 8 64] [--epochs 100] [--disk-gib-s 5] ...
It prints the tables of docs/scale.md. Each figure that it starts from says where it was measured; whatever is yours to
know, such as what the disk and the network give, is an option. `--measure` measures what a cube costs to read here.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

CUBES_AN_EPOCH = 32  # a scan, as the papers count
GPUS_A_NODE = 8
BYTES_A_PARAMETER = 16  # in 32 bits: the weight, its gradient, and the two moments of AdamW
RING = 2  # times that each gradient crosses the network in a ring all-reduce, nearly
LINKED = 1000  # files that cubes are read of, with --measure: more than are kept open


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was measured.

    Args:
        cubes_s: cubes a second that one GPU learns from, in its batch: chest-ct on an H200, results/gpu_h200.md.
        batch: cubes a GPU and step.
        deform_ms: processor time to deform a cube, results/deformations.md.
        read_ms: processor time to read a cube of a file that is not open yet, by --measure.
        read_kib: what is read for it.
        requests: read calls for it, those to open the file among them.
        scan_mib: the size of a stored CT of 512 x 512 x 300, results/cubes.md.
        prepare_s: processor time to prepare it of a .nii.gz, results/prepare.md.
        parameters: of the network.
        gib: of a GPU's memory that a step takes.
    """

    cubes_s: float = 366.0
    batch: int = 32
    deform_ms: float = 0.683
    read_ms: float = 2.45
    read_kib: float = 637.0
    requests: float = 54.0
    scan_mib: float = 67.3
    prepare_s: float = 1.07
    parameters: int = 19_073_665
    gib: float = 8.5


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a cluster gives, all nodes together where it is shared.

    Args:
        scans: how many there are.
        epochs: passes of 32 cubes a scan.
        disk_gib_s: that the file server, or each node's own disk, gives for random reads.
        disk_requests_s: random reads a second that it answers.
        cache_gib: of each node, in memory or on a disk of its own, that keep what was read.
        shared: it is one file server for all nodes; else each node has such a disk.
        network_gbit_s: between nodes, each way.
        cores: of a node.
    """

    scans: int = 100_000
    epochs: int = 100
    disk_gib_s: float = 5.0
    disk_requests_s: float = 500_000.0
    cache_gib: float = 0.0
    shared: bool = True
    network_gbit_s: float = 100.0
    cores: int = 64


@dataclass(frozen=True)
class Plan:
    """What a run takes.

    Attributes:
        limits: cubes a second that each part of the line allows by itself, all GPUs together.
        hours: that the run takes.
        epoch_minutes: that a pass takes.
        workers: loader processes that a GPU keeps busy.
        disk_gib_s: that is read if nothing but the GPUs limits.
        disk_requests_s: read calls a second, likewise.
    """

    limits: Mapping[str, float]
    hours: float
    epoch_minutes: float
    workers: int
    disk_gib_s: float
    disk_requests_s: float

    @property
    def limit(self) -> str:
        """The part of the line that allows fewest cubes."""
        return min(self.limits, key=lambda name: self.limits[name])


def plan(gpus: int, site: Site, figures: Figures) -> Plan:
    """Compute what a run on so many GPUs takes, all parts of the line at work at once."""
    nodes = math.ceil(gpus / GPUS_A_NODE)
    disks = 1 if site.shared else nodes
    missed = max(0.0, 1 - site.cache_gib * 1024 / (site.scans * figures.scan_mib))  # of reads, once the cache is full
    core_s = (figures.read_ms + figures.deform_ms) / 1000
    gradient_s = 0.0 if nodes == 1 else RING * 4 * figures.parameters / (site.network_gbit_s / 8 * 1e9)
    limits = {
        "GPUs": gpus * figures.cubes_s,
        "cores": nodes * site.cores / core_s,
        "disk, bytes": disks * site.disk_gib_s * 2**20 / figures.read_kib / missed if missed else math.inf,
        "disk, requests": disks * site.disk_requests_s / figures.requests / missed if missed else math.inf,
        "network": gpus * figures.batch / gradient_s if gradient_s else math.inf,
    }
    cubes, rate = site.scans * CUBES_AN_EPOCH * site.epochs, min(limits.values())
    return Plan(
        limits,
        hours=cubes / rate / 3600,
        epoch_minutes=cubes / site.epochs / rate / 60,
        workers=math.ceil(figures.cubes_s * core_s),
        disk_gib_s=limits["GPUs"] * figures.read_kib / 2**20 * missed,
        disk_requests_s=limits["GPUs"] * figures.requests * missed,
    )


def tables(gpus: Sequence[int], site: Site, figures: Figures) -> str:
    """The tables of docs/scale.md, in Markdown."""
    made = {number: plan(number, site, figures) for number in gpus}
    head = "| | " + " | ".join(f"{number} GPUs" for number in gpus) + " |"
    rows = {
        "cubes/s, if GPUs are the limit": [f"{one.limits['GPUs']:,.0f}" for one in made.values()],
        "read from disk then, GiB/s": [f"{one.disk_gib_s:.1f}" for one in made.values()],
        "reads a second then": [f"{one.disk_requests_s:,.0f}" for one in made.values()],
        "loader workers a GPU": [f"{one.workers}" for one in made.values()],
        **{
            f"cubes/s by {name}": [
                "no limit" if math.isinf(one.limits[name]) else f"{one.limits[name]:,.0f}" for one in made.values()
            ]
            for name in ("cores", "disk, bytes", "disk, requests", "network")
        },
        "**the limit**": [one.limit for one in made.values()],
        "a pass, minutes": [f"{one.epoch_minutes:.1f}" for one in made.values()],
        f"**{site.epochs} passes, hours**": [f"**{one.hours:.1f}**" for one in made.values()],
    }
    lines = [head, "|---|" + "---:|" * len(gpus), *(f"| {name} | {' | '.join(row)} |" for name, row in rows.items())]
    return "\n".join(lines)


def sizes(site: Site, figures: Figures) -> str:
    """What the store takes, and what the network does of a GPU's memory, in words."""
    state = figures.parameters * BYTES_A_PARAMETER / 2**30
    return "\n".join(
        [
            f"The store: {site.scans * figures.scan_mib / 2**20:.1f} TiB; preparing it: "
            f"{site.scans * figures.prepare_s / 3600:.0f} core-hours.",
            f"The network: {figures.parameters:,} parameters, {state:.2f} GiB with gradients and moments, of the "
            f"{figures.gib:g} GiB that a step takes.",
        ]
    )


def measure() -> Figures:
    """Measure what a cube costs to read of a made-up CT of 512 x 512 x 300, of more files than are kept open."""
    from benchmarks.cubes import make_scan

    from modelsgenesis.commands.prepare import prepare
    from modelsgenesis.core.randomness import generator_for
    from modelsgenesis.data.sampling.cubes import CubeSampler, CubeSpec
    from modelsgenesis.data.store.store import Store, scan_file

    def reads() -> tuple[int, int]:
        """Bytes and calls, as Linux counts them of this process."""
        found = dict(line.split(": ") for line in Path("/proc/self/io").read_text(encoding="utf-8").splitlines())
        return int(found["rchar"]), int(found["syscr"])

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "one").mkdir()
        make_scan(folder / "one" / "scan.nii.gz", (512, 512, 300))
        store = prepare(folder / "one", folder / "store", workers=0, quiet=True, modality="CT")
        (scan,) = Store.open(store).scans
        copies = [replace(scan, id=f"{number:016x}") for number in range(LINKED)]
        for copy in copies:
            os.link(scan_file(store, scan.id), scan_file(store, copy.id))
        sampler, num = CubeSampler(Store(store, copies), CubeSpec(rule="lung")), 400
        for index in range(20):
            sampler.sample(generator_for(0, index))
        before, begun = reads(), time.process_time()
        for index in range(num):
            sampler.sample(generator_for(1, index))
        seconds, after = time.process_time() - begun, reads()
        (num_bytes, calls) = (now - then for now, then in zip(after, before, strict=True))
        scan_mib = scan_file(store, scan.id).stat().st_size / 2**20
    return Figures(
        read_ms=seconds / num * 1000, read_kib=num_bytes / num / 1024, requests=calls / num, scan_mib=scan_mib
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--own-disks", action="store_true", help="each node has a disk of its own with the store")
    parser.add_argument("--measure", action="store_true", help="measure what a cube costs to read on this machine")
    numbers = [field for kind in (Site, Figures) for field in fields(kind) if field.name != "shared"]
    for field in numbers:
        kind = int if field.type is int else float
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=None)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    of_kind = {kind: {field.name for field in fields(kind)} for kind in (Site, Figures)}
    site, figures = (
        replace(first, **{name: value for name, value in given.items() if name in of_kind[type(first)]})
        for first in (Site(shared=not given["own_disks"]), measure() if given["measure"] else Figures())
    )
    if given["measure"]:
        print(f"read here: {figures.read_ms:.2f} ms, {figures.read_kib:.0f} KiB, {figures.requests:.0f} read calls\n")
    print(f"{sizes(site, figures)}\n\n{tables(given['gpus'], site, figures)}")


if __name__ == "__main__":
    main()
