"""Prepare scans by workers of Dask that a queue starts: `python jobqueue.py SCANS STORE --jobs 32 --queue cpu`."""

import argparse

import dask_jobqueue
from dask_jobqueue.local import LocalCluster

import modelsgenesis as mg

HERE = "here"  # processes of this machine, in place of a queue


def main() -> None:
    """Start the workers, prepare, and end them."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("scans")
    asked.add_argument("store")
    asked.add_argument("--jobs", type=int, default=8, help="how many workers, each a job of one process")
    asked.add_argument("--queue", default="cpu", help="the partition of Slurm, or here")
    asked.add_argument("--time", default="04:00:00", help="of a job")
    asked.add_argument("--memory", default="8GB", help="of a job")
    given = asked.parse_args()

    # One thread a worker: to read a scan is one thread's work. PBSCluster, SGECluster ... take the same words.
    how = {"cores": 1, "processes": 1, "memory": given.memory}
    # A worker ends in time before its job does, and another one is started in its place.
    ending = ["--lifetime", "220m", "--lifetime-stagger", "10m"]
    if given.queue == HERE:
        workers = LocalCluster(**how)
    else:
        workers = dask_jobqueue.SLURMCluster(queue=given.queue, walltime=given.time, worker_extra_args=ending, **how)
    with workers:
        workers.adapt(minimum_jobs=1, maximum_jobs=given.jobs)
        mg.prepare(given.scans, given.store, cluster=workers.scheduler_address)


if __name__ == "__main__":
    main()
