"""What computes, and in which precision: one process or many, on CPUs or GPUs, started by us, torchrun or SLURM."""

import contextlib
import logging
import os
import platform
import re
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from modelsgenesis.core.errors import GenesisError, TrainingError
from modelsgenesis.core.process_pool import usable_cores
from modelsgenesis.core.processes import Processes
from modelsgenesis.core.single_process import Alone
from modelsgenesis.core.words import many

Accelerator = Literal["auto", "cpu", "gpu"]
Precision = Literal["auto", "32-true", "bf16-mixed"]
EngineName = Literal["auto", "torch", "openvino", "openvino-int8"]
FloatEngineName = Literal["auto", "torch", "openvino"]

STARTER = "GENESIS_STARTER"  # the number of the process that started the others of a run
MACHINE = "machine"  # of a provenance's arguments: where a run was finished
SHARE = 3  # of a GPU's free memory that the weighted sum of windows may take: one third
LOST_PEER = re.compile(r"gloo/transport/|NCCL (error|communicator)|ProcessGroup(NCCL|Gloo)")
CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """A device, and whether it computes in bf16.

    Args:
        device: where the networks are.
        bf16: whether convolutions may compute in bf16.
    """

    device: torch.device
    bf16: bool = False

    def of_sum(self, num_bytes: int) -> torch.device:
        """The device for a sum of this size: the network's own, or the CPU if that has too little memory."""
        if self.device.type != "cuda" or num_bytes * SHARE <= torch.cuda.mem_get_info(self.device)[0]:
            return self.device
        return torch.device("cpu")


def find_machine(accelerator: Accelerator = "auto", precision: Precision = "auto") -> Machine:
    """Choose the device and precision of a network that predicts.

    Args:
        accelerator: "auto" takes a GPU where there is one.
        precision: "auto" is bf16 where the device computes it fast.
    Raises:
        GenesisError: a GPU is wanted and there is none.
    """
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise GenesisError("a GPU is wanted, and there is none here; use --accelerator cpu")
    chosen = choose_accelerator(accelerator)
    device = torch.device("cuda" if chosen == "gpu" else "cpu")
    return Machine(device, choose_precision(precision, chosen) == "bf16-mixed")


def make_fabric(
    precision: Precision, *, accelerator: Accelerator = "auto", devices: int = 1, nodes: int = 1
) -> Processes:
    """Make the Fabric of a run, not yet launched; a process alone needs none.

    Args:
        precision: "auto" is bf16 where the device computes it fast.
        accelerator: "auto" takes a GPU where there is one.
        devices: processes a node, one a device; torchrun's own number wins.
        nodes: machines.
    Raises:
        TrainingError: no such number of processes, or no GPU where one is wanted.
    """
    if devices < 1 or nodes < 1:
        raise TrainingError(
            f"devices and nodes must be 1 or more, got {many(devices, 'device')} and {many(nodes, 'node')}"
        )
    if accelerator == "gpu" and torch.cuda.device_count() < devices:
        raise TrainingError(f"{many(devices, 'GPU')} wanted, {torch.cuda.device_count()} here; use --accelerator cpu")
    kind = choose_accelerator(accelerator)
    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    chosen = choose_precision(precision, kind)
    if devices * nodes == 1:
        return Alone(torch.device("cuda", 0) if kind == "gpu" else torch.device("cpu"), chosen)
    # Here, and in no module's head: they take two seconds, which a process alone need not wait.
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(
        logging.WARNING
    )  # after the import, which sets it to greet every run
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")  # of kernels of one voxel
    return Fabric(
        accelerator=kind,
        devices=devices,
        num_nodes=nodes,
        strategy="ddp",
        precision=chosen,
        plugins=_starter(devices, nodes),
    )


def launch(fabric: Processes) -> None:
    """Start the processes of a run, or find those that another program started.

    Raises:
        TrainingError: they do not reach each other.
    """
    try:
        fabric.launch()
    except RuntimeError as error:  # so are the errors of torch.distributed
        why = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise TrainingError(
            f"the {fabric.world_size} processes of this run do not reach each other ({why}); a machine whose name is "
            "that of its own loopback needs GLOO_SOCKET_IFNAME (CPUs) or NCCL_SOCKET_IFNAME (GPUs), the network "
            "interface to the others"
        ) from error


@contextlib.contextmanager
def peers_told() -> Iterator[None]:
    """Say in one line what torch says in many when another process of a run is gone.

    Raises:
        TrainingError: it is.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, GenesisError) or not LOST_PEER.search(str(error)):
            raise
        why = str(error).strip().splitlines()[0][:200]
        raise TrainingError(
            f"another process of this run is gone, or is not reached any more ({why}); the same command on all nodes "
            "goes on from the last checkpoint"
        ) from error


def _starter(devices: int, nodes: int) -> Any:
    """What starts the processes, in Fabric's words: torchrun or srun, if it started this one; otherwise this one does.

    Raises:
        TrainingError: srun started another number of processes, or has not started them on several nodes.
    """
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if torch.distributed.is_available() and torch.distributed.is_torchelastic_launched():
        return TorchElasticEnvironment()
    # srun alone sets this: a batch script or a shell of Slurm's sees the allocation's variables, as if it were a task.
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks == 1 and (nodes == 1 or "SLURM_JOB_ID" not in os.environ):
        _end_with_starter()
        return LightningEnvironment()
    if tasks != devices * nodes or os.environ.get("SLURM_NTASKS_PER_NODE") != str(devices):
        raise TrainingError(
            f"{many(devices, 'device')} on {many(nodes, 'node')} wanted, and Slurm started {many(tasks, 'task')}; "
            f"start it with srun --nodes={nodes} --ntasks-per-node={devices} genesis ..."
        )
    return SLURMEnvironment()


def _end_with_starter() -> None:
    """Leave a word for the processes that this one will start; one of those ends when the one that started it is gone.

    It would wait for the others else, for as long as a process group waits.
    """
    if os.environ.get(STARTER) is None or "LOCAL_RANK" not in os.environ:
        os.environ[STARTER] = str(os.getpid())
        return

    def watch() -> None:
        while os.getppid() == int(os.environ[STARTER]):
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def choose_accelerator(accelerator: Accelerator) -> Literal["cpu", "gpu"]:
    """Decide "auto": a GPU where there is one."""
    if accelerator == "auto":
        return "gpu" if torch.cuda.is_available() else "cpu"
    return accelerator


def choose_precision(precision: Precision, accelerator: Literal["cpu", "gpu"]) -> Literal["32-true", "bf16-mixed"]:
    """Decide "auto": bf16 on GPUs that have it, and on CPUs with bf16 instructions, where it halves a step."""
    if precision != "auto":
        return precision
    if accelerator == "gpu":
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    return "bf16-mixed" if torch.cpu._is_avx512_bf16_supported() else "32-true"


def gpus_here(accelerator: Accelerator) -> list[str]:
    """Every GPU that this process may use, as CUDA_VISIBLE_DEVICES names them; none where the CPU is to compute."""
    if accelerator == "cpu":
        return []
    numbers = [str(number) for number in range(torch.cuda.device_count())]
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible[: len(numbers)] if visible else numbers


def describe_machine(fabric: Processes) -> dict[str, Any]:
    """Describe what a run computes on, for its provenance: kinds of machines, and no computer's or person's name."""
    device = fabric.device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processor": _processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "processes": fabric.world_size,
        "precision": str(fabric.strategy.precision.precision),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    """The kind of the processor; Linux names it more exactly than Python does."""
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
