"""Many tasks, in processes of their own."""

import os
import time

from modelsgenesis.core.process_pool import work_through


def die_of_two(number: int) -> int:
    """Kill the process that gets number 2."""
    if number == 2:
        os._exit(9)
    return number * number


def gpu_and_process(_: int) -> tuple[str | None, int]:
    """What a process may see of the GPUs, and which process it is; slow enough that others get tasks, too."""
    time.sleep(0.3)
    return os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid()


def test_process_that_dies_costs_one_task() -> None:
    """The others are done, whichever were under way when it died."""
    assert dict(work_through(die_of_two, range(6), 2)) == {0: 0, 1: 1, 2: None, 3: 9, 4: 16, 5: 25}


def test_gpus_are_dealt_to_processes() -> None:
    """Three processes share two GPUs: the first has two of them, and nobody sees another's."""
    seen = {result for _, result in work_through(gpu_and_process, range(24), 3, gpus=("4", "GPU-7")) if result}
    assert sorted(str(gpu) for gpu, _ in seen) == ["4", "4", "GPU-7"]
    assert len({process for _, process in seen}) == 3
    assert os.environ.get("CUDA_VISIBLE_DEVICES") not in ("4", "GPU-7")


def test_without_gpus_nothing_is_hidden() -> None:
    """Where the CPU computes, or one process uses what it likes."""
    assert next(iter(work_through(gpu_and_process, [0], 1)))[1][0] == os.environ.get("CUDA_VISIBLE_DEVICES")


def threads_of_itk(_: int) -> int:
    """How many threads SimpleITK would take for a filter."""
    import SimpleITK as sitk

    return int(sitk.ProcessObject.GetGlobalDefaultNumberOfThreads())


def test_processes_read_scans_with_one_thread() -> None:
    """As many processes as cores, each of one thread."""
    assert next(iter(work_through(threads_of_itk, [0], 1)))[1] == 1
