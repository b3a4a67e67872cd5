"""Cells on a Ray cluster: Ray places each; a cell that loses its worker is retried.

Each cell is one Ray task. It requests as many cores as it may use threads, memory, and a GPU where
it needs one. Ray's own retries are off, as they do not count everything that can happen to a
worker: a cell whose worker or node dies, or runs out of memory, is submitted again here, as often
as the user allows, and resumes from its checkpoint where that can be seen.
"""

import io
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray import exceptions
from ray._private import ray_constants
from ray.job_config import JobConfig

from seqmem.baselines.training.process import safe_import_path
from seqmem.errors import InputError
from seqmem.lifetime import temporary_folder
from seqmem.runs.cell import Cell
from seqmem.runs.local import sent
from seqmem.runs.plan import LOCAL, Plan, Workers
from seqmem.runs.processes import cores
from seqmem.runs.ray_worker import CellLog, code_sha256, on_worker
from seqmem.runs.transfer import Files, marked, packed, store_tasks, unpacked
from seqmem.runs.worker import OUT_OF_MEMORY, Outcome, ProcessSetup, attempt

__all__ = ["RayCluster", "connected", "resources"]

GIB = 1 << 30
LONGEST_PLACE = 20  # characters before those of Ray's sockets, which together have at most 107
REFRESH = 0.5  # seconds between two queries of what workers run; short cells end faster


@contextmanager
def connected(workers: Workers, log: Callable[[str], object]) -> Iterator["RayCluster"]:
    """Return a cluster that runs cells, until the end of the context.

    Raises:
        InputError: no cluster answers.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what it logs as this process ends
    os.environ.setdefault("RAY_worker_niceness", "0")  # its default, 15, yields to others
    # Workers of any other job also import from the current folder, before installed packages.
    given: dict[str, Any] = {"job_config": JobConfig(_client_job=True)}
    with ExitStack() as stack:
        if workers.ray == LOCAL:
            given |= {"num_cpus": cores(), "include_dashboard": False}
            given["_temp_dir"] = str(stack.enter_context(temporary_folder(_temporary_place())))
        # Ray reports nodes that die on stdout, which is for results.
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(safe_import_path())
        stack.callback(ray.shutdown)  # also where an interrupt ends its start
        try:
            _check_answers(workers.ray or LOCAL)
            with _private() if workers.ray == LOCAL else nullcontext(), _own_signals():
                ray.init(workers.ray, log_to_driver=False, logging_level=logging.ERROR, **given)
        except (OSError, RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())[:200]
            raise InputError(
                f"--ray {workers.ray}: no Ray cluster answers there ({text}); give HOST:PORT of "
                "its head node, auto on one of its nodes, or no address to start one here"
            ) from None
        yield RayCluster(workers, log)


@contextmanager
def _private() -> Iterator[None]:
    """Let a Ray that is started now listen on this machine only, with a token for this process.

    Ray replaces the address 127.0.0.1 by that of the network, except where firewalls ask users
    about it, as on Windows: this is the switch for it. Ray requires a token by default; without
    one in the environment it writes one into a file that others can read.
    """
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    usual = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = usual


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's handler of SIGTERM while Ray starts, and afterwards.

    Ray replaces it in Python by one that exits at once. In C it adds one that aborts the process
    three seconds later, by an alarm.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual, handler = ray._private.utils.set_sigterm_handler, signal.getsignal(signal.SIGTERM)

    def without_alarm(number: int, frame: FrameType | None) -> None:
        signal.alarm(0)
        if callable(handler):
            handler(number, frame)
        else:
            sys.exit(128 + number)

    ray._private.utils.set_sigterm_handler = lambda handler: None
    signal.signal(signal.SIGTERM, without_alarm)
    try:
        yield
    finally:
        ray._private.utils.set_sigterm_handler = usual
        signal.signal(signal.SIGTERM, handler)  # instead of the one in C, too


def _temporary_place() -> Path:
    """Return where a Ray that is started here has its files: paths of its sockets must be short."""
    usual = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    return usual if len(str(usual)) <= LONGEST_PLACE else Path("/tmp")


def _check_answers(address: str) -> None:
    """Check that something answers at HOST:PORT; Ray itself waits for minutes.

    Raises:
        OSError: nothing does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def resources(workers: Workers, device: str) -> dict[str, Any]:
    """Return what each cell requests from Ray, as options of a remote function."""
    gpus = workers.gpus if workers.devices == 1 else workers.devices
    return {
        "num_cpus": max(workers.threads or 1, workers.devices),
        "num_gpus": gpus if device == "cuda" else 0,
        "memory": None if workers.memory is None else int(workers.memory * GIB),
        "max_retries": 0,
    }


class RayCluster:
    """Runs cells on the cluster that this process is connected to."""

    def __init__(
        self,
        workers: Workers,
        log: Callable[[str], object],
        work: Callable[..., tuple[Outcome, Files]] = on_worker,
    ) -> None:
        """Take what the user asked for, where lines go, and what a worker does with a cell."""
        self._workers, self._print, self._work = workers, log, work
        self._pending: dict[Any, int] = {}
        self._names: dict[int, str] = {}
        self._running: Mapping[int, tuple[str, str]] = {}
        self._queried = 0.0
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=True
        )
        self._log = ray.remote(CellLog).options(num_cpus=0, scheduling_strategy=here).remote()

    def has_gpu(self) -> bool:
        """Return whether there is a GPU for cells."""
        return bool(ray.cluster_resources().get("GPU", 0) > 0)

    def running(self) -> Mapping[str, str]:
        """Return the cell that each worker runs, with its progress bar."""
        if time.monotonic() - self._queried >= REFRESH:
            self._running, self._queried = self._query("running") or {}, time.monotonic()
        here = {*self._pending.values()}
        return {
            worker: f"{bar}{', ' * bool(bar)}{self._names[n]}"
            for n, (worker, bar) in self._running.items()
            if n in here
        }

    def run(self, planned: Plan, log: Callable[[int, str], object]) -> Iterator[Outcome]:
        """Run cells and yield the outcome of each, as they end."""
        waiting: dict[int, Cell] = {}
        for number, cell in enumerate(planned.cells, 1):
            if cell.known_record() is None:
                waiting[number] = sent(cell)
            else:
                yield attempt(number, cell, planned.tasks[cell.task_id], partial(log, number))
        if not waiting:
            return
        one = next(iter(waiting.values()))  # folder and device are the same in all
        requested = resources(self._workers, one.measuring.device)
        self._check_room(requested)
        self._names = {number: cell.name for number, cell in waiting.items()}
        task_ids = {cell.task_id for cell in waiting.values()}
        stored = store_tasks(planned.tasks[task_id] for task_id in task_ids)
        remote = ray.remote(self._work).options(**requested)
        setup, code = ProcessSetup(self._workers.threads or 1), code_sha256()
        with marked(one.results) as mark:

            def submit(number: int) -> Any:
                cell = waiting[number]
                files = packed(cell.training_files(), cell.results)
                task = stored.get(cell.task_id)
                put = [ray.put(files)]
                return remote.remote(number, cell, setup, task, mark, put, code, self._log)

            for outcome, files in self._outcomes(deque(waiting), submit, log):
                unpacked(files, one.results)
                yield outcome

    def _outcomes(
        self,
        waiting: deque[int],
        submit: Callable[[int], Any],
        log: Callable[[int, str], object],
    ) -> Iterator[tuple[Outcome, Files]]:
        """Submit cells, again where their workers are lost, and yield what they return."""
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
                reason, details, outcome, files = OUT_OF_MEMORY, "", None, {}
                try:
                    outcome, files = ray.get(reference)
                except exceptions.RayError as error:
                    reason, details = _reason_of(error)
                last = tries[number] > self._workers.retries
                if outcome is not None and (last or not outcome.out_of_memory):
                    yield outcome, files
                elif last:
                    lines = (*(self._query("lines", number) or ()), *details.splitlines())
                    failure = f"{self._names[number]}: {reason}, in each of {tries[number]} tries"
                    yield Outcome(number, None, (failure,), lines), {}
                else:
                    log(number, f"{reason}: try {tries[number] + 1} of {self._workers.retries + 1}")
                    waiting.append(number)

    def _check_room(self, requested: Mapping[str, Any]) -> None:
        """Warn where no node can hold a cell: it waits for one that can."""
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        wanted = {names[key]: value for key, value in requested.items() if key in names and value}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        if not any(all(node.get(k, 0) >= v for k, v in wanted.items()) for node in nodes):
            text = ", ".join(f"{name} {value:g}" for name, value in wanted.items())
            self._print(f"--ray: no node has what a cell requests ({text}); cells wait for one")

    def _query(self, method: str, *arguments: object) -> Any:
        """Query the log; None where it does not answer: the run continues without."""
        if not ray.is_initialized():  # else Ray would connect anew, wherever it finds a cluster
            return None
        try:
            return ray.get(getattr(self._log, method).remote(*arguments), timeout=5)
        except exceptions.RayError:
            return None


def _reason_of(error: Exception) -> tuple[str, str]:
    """Return in a few words why a task returned nothing, and what Ray reports.

    Raises:
        Exception: the task's own code raised it, and no other machine would help.
    """
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
