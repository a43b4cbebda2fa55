"""One run on two nodes: two of torchrun's agents, each with a process of its own; on loopback, and over a network."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

import modelsgenesis as mg
from modelsgenesis.core.device import launch, peers_told
from modelsgenesis.core.errors import TrainingError
from modelsgenesis.core.single_process import Alone

SECONDS = 240
# By SGD, since AdamW turns the rounding noise of gradients that are 0 in theory (biases before a norm) into steps.
OPTIONS = {
    "batch_size": 4, "size": (16, 16, 16), "width": 2, "validate_every": 4, "val_cubes": 4, "optimizer": "sgd",
    "lr": 0.05, "precision": "32-true", "accelerator": "cpu", "balance": "modality",
}  # fmt: skip
AGENT = ("-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1")
LOST = [
    "[/gloo/transport/tcp/pair.cc:537] Read error [10.77.0.2]:48364: Connection reset by peer.\nand more",
    "NCCL error in: /src/ProcessGroupNCCL.cpp:94, remote process exited",
]


def flags(steps: int) -> list[str]:
    """The options as the command line has them."""
    words = [str(steps)]
    for name, value in OPTIONS.items():
        words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else (value,))]
    return ["--steps", *words]


class Node:
    """A machine, as far as a process can tell: its address, and the network interface that leads to the others.

    Args:
        address: of the machine.
        interface: that has it.
        within: what runs a command there.
    """

    def __init__(self, address: str, interface: str, within: tuple[str, ...] = ()) -> None:
        self.address, self.interface, self.within = address, interface, within


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Agents:
    """The agents of two nodes that train one run.

    Args:
        nodes: the two.
        store: of the scans.
        into: the run's folder.
        steps: of the run.
        restarts: how often an agent starts its process again.
    """

    def __init__(self, nodes: tuple[Node, Node], store: Path, into: Path, steps: int, restarts: int = 0) -> None:
        self.logs = [into.with_name(f"{into.name}-{number}.log") for number in (0, 1)]
        port, self.agents = free_port(), []
        for number, (node, log) in enumerate(zip(nodes, self.logs, strict=True)):
            meeting = ["--node-rank", str(number), "--master-addr", nodes[0].address, "--master-port", str(port)]
            if restarts:
                meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{nodes[0].address}:{port}"]
                meeting += ["--rdzv-id", "run", "--rdzv-conf", f"is_host={1 - number}", "--local-addr", node.address]
                meeting += ["--max-restarts", str(restarts)]
            work = ["-m", "modelsgenesis", "pretrain", "small", str(store), str(into), *flags(steps)]
            with open(log, "wb") as out:
                self.agents.append(
                    subprocess.Popen(
                        [*node.within, sys.executable, *AGENT, *meeting, *work],
                        stdout=out,
                        stderr=out,
                        env={**os.environ, "GLOO_SOCKET_IFNAME": node.interface, "OMP_NUM_THREADS": "1"},
                    )
                )

    def worker(self, number: int) -> psutil.Process:
        """The process that trains on a node."""
        below = psutil.Process(self.agents[number].pid).children(recursive=True)
        return next(
            one for one in below if "torch.distributed.run" not in one.cmdline() and "pretrain" in one.cmdline()
        )

    def await_end(self) -> list[int | None]:
        """Wait until both have ended; return how."""
        until = time.monotonic() + SECONDS
        return [one.wait(timeout=max(1.0, until - time.monotonic())) for one in self.agents]

    def said(self) -> str:
        """What both printed."""
        return "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in self.logs)

    def end(self) -> None:
        """Kill both, and what they started."""
        for agent in self.agents:
            with contextlib.suppress(psutil.NoSuchProcess):
                for one in [*psutil.Process(agent.pid).children(recursive=True), psutil.Process(agent.pid)]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        one.kill()
            agent.wait(timeout=30)


@contextlib.contextmanager
def training(*args: object, **more: int) -> Iterator[Agents]:
    """Agents that leave no process behind."""
    agents = Agents(*args, **more)  # type: ignore[arg-type]
    try:
        yield agents
    finally:
        agents.end()


def differs(one: Path, other: Path) -> float:
    """The greatest difference of two runs' last weights, as a share of a tensor's greatest weight."""
    first, second = (load_file(run / "last.safetensors") for run in (one, other))
    scales = {name: tensor.abs().max().clamp_min(1e-2) for name, tensor in first.items()}
    return max(float((first[name] - second[name]).abs().max() / scales[name]) for name in first)


LOOPBACK = (Node("127.0.0.1", "lo"), Node("127.0.0.1", "lo"))


@pytest.fixture(scope="module")
def alone(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that one process gives."""
    return mg.pretrain("small", small_store, tmp_path_factory.mktemp("alone") / "run", steps=12, **OPTIONS)  # type: ignore[arg-type]


@pytest.mark.slow
def test_two_nodes_give_the_weights_of_one_process(small_store: Path, alone: Path, tmp_path: Path) -> None:
    """To 1e-4 of a tensor's greatest weight; 1e-5 was seen."""
    with training(LOOPBACK, small_store, tmp_path / "two", 12) as agents:
        assert agents.await_end() == [0, 0], agents.said()
    assert differs(alone, tmp_path / "two") < 1e-4


@pytest.fixture
def machines() -> Iterator[tuple[Node, Node]]:
    """Two network namespaces with a cable between them: each has its own loopback, and no other way to the other."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("namespaces need ip, and root")
    names = [f"genesis{os.getpid()}{side}" for side in "ab"]
    ends = [f"g{os.getpid()}{side}"[-15:] for side in "ab"]

    def ip(*words: str) -> int:
        return subprocess.run(["ip", *words], capture_output=True, check=False, timeout=30).returncode

    try:
        if any(ip("netns", "add", name) for name in names) or ip(
            "link", "add", "name", ends[0], "type", "veth", "peer", "name", ends[1]
        ):
            pytest.skip("no network namespace can be had here")
        for number, (name, end) in enumerate(zip(names, ends, strict=True), start=1):
            assert not ip("link", "set", end, "netns", name)
            assert not ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", end)
            assert not any(ip("-n", name, "link", "set", one, "up") for one in (end, "lo"))
        first, second = (
            Node(f"10.77.0.{number}", end, ("ip", "netns", "exec", name))
            for number, (name, end) in enumerate(zip(names, ends, strict=True), start=1)
        )
        yield first, second
    finally:
        for name in names:
            ip("netns", "del", name)


@pytest.mark.slow
def test_two_machines_give_the_weights_of_one_process(
    machines: tuple[Node, Node], small_store: Path, alone: Path, tmp_path: Path
) -> None:
    """Everything that they say to each other goes through the cable."""
    with training(machines, small_store, tmp_path / "two", 12) as agents:
        assert agents.await_end() == [0, 0], agents.said()
    assert differs(alone, tmp_path / "two") < 1e-4


@pytest.fixture(scope="module")
def whole(small_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two nodes that nobody killed."""
    into = tmp_path_factory.mktemp("whole") / "run"
    with training(LOOPBACK, small_store, into, 40) as agents:
        assert agents.await_end() == [0, 0], agents.said()
    return into


def await_checkpoint(agents: Agents, into: Path) -> None:
    """Wait until a run has something to go on from."""
    until = time.monotonic() + SECONDS
    while not (into / "resume.pt").exists() and time.monotonic() < until:
        assert all(agent.poll() is None for agent in agents.agents), agents.said()
        time.sleep(0.01)


@pytest.mark.slow
def test_a_node_that_died_goes_on_to_the_same_weights(small_store: Path, whole: Path, tmp_path: Path) -> None:
    """A node is killed; the other says so in a line and ends; the same commands go on, to the bytes of no death."""
    into = tmp_path / "run"
    with training(LOOPBACK, small_store, into, 40) as agents:
        await_checkpoint(agents, into)
        worker = agents.worker(1)
        agents.agents[1].kill()
        worker.kill()
        assert agents.agents[0].wait(timeout=60) != 0
        assert "pretrain: another process of this run is gone, or is not reached any more" in agents.said()
    assert not (into / "made.json").exists()
    with training(LOOPBACK, small_store, into, 40) as agents:
        assert agents.await_end() == [0, 0], agents.said()
    for name in ("last.safetensors", "model.safetensors"):
        assert (into / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.slow
def test_agents_start_a_killed_process_again(small_store: Path, whole: Path, tmp_path: Path) -> None:
    """Elastic restart: nobody gives a command again, and the bytes are those of no death."""
    into = tmp_path / "run"
    with training(LOOPBACK, small_store, into, 40, restarts=3) as agents:
        await_checkpoint(agents, into)
        agents.worker(1).kill()
        assert agents.await_end() == [0, 0], agents.said()
    for name in ("last.safetensors", "model.safetensors"):
        assert (into / name).read_bytes() == (whole / name).read_bytes()


class Unreached(Alone):
    """A process that the others do not answer."""

    world_size = 2

    def launch(self) -> None:
        """As gloo has it where a machine's name leads to its own loopback."""
        raise RuntimeError("Gloo connectFullMesh failed with timed out connecting: Connection refused\nat pair.cc")


def test_processes_that_do_not_reach_each_other_say_so_in_a_line() -> None:
    """With the variable that names the network interface."""
    import torch

    with pytest.raises(TrainingError, match=r"^the 2 processes .*\(Gloo connectFullMesh .*GLOO_SOCKET_IFNAME") as told:
        launch(Unreached(torch.device("cpu"), "32-true"))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("words", LOST, ids=["gloo", "nccl"])
def test_a_lost_process_is_told_in_a_line(words: str) -> None:
    """What torch says first is quoted; other errors pass as they are."""
    line = r"^another process of this run is gone.*goes on from the last checkpoint$"
    with pytest.raises(TrainingError, match=line), peers_told():
        raise RuntimeError(words)
    with pytest.raises(RuntimeError, match=r"^out of memory$"), peers_told():
        raise RuntimeError("out of memory")
