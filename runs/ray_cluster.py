"""Cells on a Ray cluster: Ray finds a place for each; a cell that loses its worker is tried again.

Each cell is one Ray task. It asks for as many cores as it may use threads, for memory and for a GPU
where it needs them. Ray's own retries are off, as they do not count all that can happen to a
worker: a cell whose worker or node dies, or runs out of memory, is handed in again here, so many
times as the user said, and goes on from its checkpoint where it can be seen.
"""

import io
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from typing import Any

from seqmem.errors import InputError
from seqmem.provenance import source_sha256
from seqmem.runs.carry import Files, marked, packed, unpacked
from seqmem.runs.cell import Cell, Settings, known_record, training_files
from seqmem.runs.executor import LOCAL, Workers
from seqmem.runs.job import Outcome, attempt, jobs_of
from seqmem.runs.local import cores
from seqmem.runs.ray_worker import Desk, on_worker
from seqmem.runs.ship import shipped

__all__ = ["OnRay", "asked_for", "connected"]

GIB = 1 << 30
LATELY = 0.5  # seconds for which it is known what workers run: short cells end faster than that


@contextmanager
def connected(workers: Workers, say: Callable[[str], object]) -> Iterator["OnRay"]:
    """Give a cluster that runs cells, until the end of the context.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_worker_niceness", "0")  # its 15 is for machines that serve as well
    try:
        import ray
    except ImportError:
        raise InputError("--ray: Ray is not installed here; pip install 'seqmem[ray]'") from None
    given: dict[str, Any] = {"num_cpus": cores()} if workers.ray == LOCAL else {}
    # Ray tells of nodes that die on stdout, at length; that is where results go.
    with redirect_stdout(io.StringIO()):
        try:
            _knock(workers.ray or LOCAL)
            ray.init(workers.ray, log_to_driver=False, logging_level=logging.ERROR, **given)
        except (OSError, RuntimeError, ValueError) as error:
            told = " ".join(str(error).split())[:200]
            raise InputError(
                f"--ray {workers.ray}: no Ray cluster answers there ({told}); give HOST:PORT of "
                "its head node, auto on one of its nodes, or no address to start one here"
            ) from None
        try:
            yield OnRay(workers, say)
        finally:
            ray.shutdown()


def _knock(address: str) -> None:
    """See that something answers at HOST:PORT; Ray itself waits for minutes.

    Raises:
        OSError: nothing does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def asked_for(workers: Workers, settings: Settings) -> dict[str, Any]:
    """Give what each cell asks Ray for."""
    gpus = workers.gpus if workers.devices == 1 else workers.devices
    return {
        "num_cpus": max(workers.threads or 1, workers.devices),
        "num_gpus": gpus if settings.measuring.device == "cuda" else 0,
        "memory": None if workers.memory is None else int(workers.memory * GIB),
        "max_retries": 0,
    }


class OnRay:
    """Runs cells on the cluster that this process is connected to."""

    def __init__(
        self,
        workers: Workers,
        say: Callable[[str], object],
        work: Callable[..., tuple[Outcome, Files]] | None = None,
    ) -> None:
        """Take what the user asked for, where lines go, and what a worker does with a job."""
        import ray

        self._workers, self._say, self._work = workers, say, work or on_worker
        self._pending: dict[Any, int] = {}
        self._names: dict[int, str] = {}
        self._running: Mapping[int, str] = {}
        self._asked = 0.0
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        self._desk = ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here).remote()

    def has_gpu(self) -> bool:
        """Tell whether there is a GPU for cells."""
        import ray

        return bool(ray.cluster_resources().get("GPU", 0) > 0)

    def running(self) -> Mapping[str, str]:
        """Name the cell that each worker runs."""
        if time.monotonic() - self._asked >= LATELY:
            self._running, self._asked = self._ask("running") or {}, time.monotonic()
        here = {*self._pending.values()}
        return {worker: self._names[n] for n, worker in self._running.items() if n in here}

    def run(
        self, cells: Sequence[Cell], settings: Settings, say: Callable[[int, str], object]
    ) -> Iterator[Outcome]:
        """Run cells and give what becomes of each, as they end."""
        import ray

        waiting: list[int] = []
        for number, cell in enumerate(cells, 1):
            if known_record(cell, settings) is None:
                waiting.append(number)
                continue
            lines: list[str] = []
            outcome = attempt(number, cell, settings, lines.append)
            yield replace(outcome, lines=tuple(lines))
        if not waiting:
            return
        self._look_for_room(settings)
        jobs = {job.number: job for job in jobs_of(cells, settings, self._workers.threads or 1)}
        self._names = {number: job.name for number, job in jobs.items()}
        parcels = shipped((cells[number - 1].task for number in waiting), ray.put)
        remote = ray.remote(self._work).options(**asked_for(self._workers, settings))
        same = source_sha256("seqmem.runs.cell_run")
        with marked(settings.results.resolve()) as mark:

            def submit(number: int) -> Any:
                job, cell = jobs[number], cells[number - 1]
                files = packed(training_files(cell, job.settings), job.settings.results)
                sent = [ray.put(files)] if files else []
                parcel = parcels.get(job.task_id)
                return remote.remote(job, parcel, mark, sent, same, self._desk)

            for number, outcome, files in self._outcomes(deque(waiting), submit, say):
                unpacked(files, jobs[number].settings.results)
                yield outcome

    def _outcomes(
        self,
        waiting: deque[int],
        submit: Callable[[int], Any],
        say: Callable[[int, str], object],
    ) -> Iterator[tuple[int, Outcome, Files]]:
        """Hand cells in, again where their workers are lost, and give what comes back."""
        import ray

        most = self._workers.jobs or len(waiting)
        tries = dict.fromkeys(waiting, 0)
        while waiting or self._pending:
            while waiting and len(self._pending) < most:
                number = waiting.popleft()
                tries[number] += 1
                self._pending[submit(number)] = number
            ray.wait([*self._pending], num_returns=1)
            done, _ = ray.wait([*self._pending], num_returns=len(self._pending), timeout=0)
            for reference in done:
                number = self._pending.pop(reference)
                reason, log, outcome, files = "out of memory", "", None, {}
                try:
                    outcome, files = ray.get(reference)
                except ray.exceptions.RayError as error:
                    reason, log = _what_was_lost(error)
                last = tries[number] > self._workers.retries
                if outcome is not None and (last or not outcome.out_of_memory):
                    yield number, outcome, files
                elif last:
                    lines = (*(self._ask("lines", number) or ()), *log.splitlines())
                    failure = f"{self._names[number]}: {reason}, in each of {tries[number]} tries"
                    yield number, Outcome(number, None, (failure,), lines), {}
                else:
                    say(number, f"{reason}: try {tries[number] + 1} of {self._workers.retries + 1}")
                    waiting.append(number)

    def _look_for_room(self, settings: Settings) -> None:
        """Say so where no node can hold a cell: it waits for one that can."""
        import ray

        asked = asked_for(self._workers, settings)
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        wanted = {names[key]: value for key, value in asked.items() if key in names and value}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(all(node.get(k, 0) >= v for k, v in wanted.items()) for node in nodes):
            text = ", ".join(f"{name} {value:g}" for name, value in wanted.items())
            self._say(f"--ray: no node has what a cell asks for ({text}); cells wait for one")

    def _ask(self, method: str, *arguments: object) -> Any:
        """Ask the desk; None where it does not answer: the run goes on without."""
        import ray

        if not ray.is_initialized():  # else Ray would connect anew, wherever it finds a cluster
            return None
        try:
            return ray.get(getattr(self._desk, method).remote(*arguments), timeout=5)
        except ray.exceptions.RayError:
            return None


def _what_was_lost(error: Exception) -> tuple[str, str]:
    """Tell in a few words why a task gave nothing, and what Ray says of it.

    Raises:
        Exception: the task's own code raised it, and no other machine would help.
    """
    from ray import exceptions

    if isinstance(error, exceptions.RayTaskError):
        if isinstance(error.cause, OSError):
            return f"{type(error.cause).__name__}: {error.cause}", ""
        raise error.cause from None
    words = {
        exceptions.OutOfMemoryError: "its node ran out of memory",
        exceptions.NodeDiedError: "its node died",
        exceptions.WorkerCrashedError: "its worker died",
    }
    reason = next((text for kind, text in words.items() if isinstance(error, kind)), None)
    return reason or f"its worker was lost ({type(error).__name__})", str(error)
