"""Where sets are tried: in this process, or by the workers of a Dask or Ray cluster.

In a flow run it is Prefect's task runners that bring the tasks to the cluster, and its UI shows them; without a Prefect
server the same tasks go there directly. A task is pure, so that one whose worker was lost is simply done again.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from data.errors import BadInput, JarvisError
from data.rows import one_line
from flows.report import flow_run_id
from flows.spec import Sets, Spec, Tried, try_sets
from tasks.stage import stage

ATTEMPTS = 4
"""How often a task is given to a cluster before the sweep ends: each attempt may meet a worker that dies."""

_AHEAD = 2
"""Tasks a worker that are on their way at once, so that none waits for the next."""

_SECONDS = 5.0
"""How long a cluster may take to answer at its address."""

_RAY_SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns of what it will do one day
    "RAY_NUM_REDIS_GET_RETRIES": "5",  # seconds in which a cluster must answer
    "RAY_USAGE_STATS_ENABLED": "0",
}
_NEEDS = {"dask": ("distributed", "prefect_dask"), "ray": ("ray", "prefect_ray")}
_PORTS = {"dask": 8786, "ray": 6379}


class Task(NamedTuple):
    """Sets to be tried together."""

    spec: Spec
    sets: Sets


Submit = Callable[[Spec, Sets], "Future[Tried]"]


@dataclass(frozen=True)
class Crew:
    """Who tries sets: `ahead` tasks are given out at once, each of which may use so many `threads` (None: all)."""

    ahead: int
    submit: Submit
    threads: int | None = 1

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Tried]]:
        """Yield each task with what became of it, as they are done; tasks are drawn when there is room for them.

        Raises what a task raised on purpose, and JarvisError for one that failed in every attempt.
        """
        coming, under_way = iter(tasks), dict[Future[Tried], tuple[Task, int]]()
        try:
            while True:
                while len(under_way) < self.ahead and (task := next(coming, None)) is not None:
                    under_way[self.submit(*task)] = (task, 1)
                if not under_way:
                    return
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    task, attempt = under_way.pop(future)
                    tried = _result(future, task, attempt)
                    if tried is None:
                        under_way[self.submit(*task)] = (task, attempt + 1)
                    else:
                        yield task, tried
        finally:
            for future in under_way:
                future.cancel()


@stage(name="execute_sweep")
def execute_sweep(spec: Spec, sets: Sets) -> Tried:
    """Try some of the sets of a sweep; see `flows.spec.try_sets`."""
    return try_sets(spec, sets)


@contextmanager
def crew(runner: str, address: str | None = None) -> Iterator[Crew]:
    """Have the sets tried by the runner, on the cluster at the address; without one, on a cluster of its own.

    Raises BadInput where the runner is not installed, JarvisError where no cluster answers.
    """
    if runner == "local":
        yield Crew(1, _at_once, None)
        return
    for package in _NEEDS[runner]:
        if find_spec(package) is None:
            raise BadInput(f"runner {runner} needs {package}: pip install -e '.[{runner}]', here and on the workers")
    if address is not None:
        _knock(runner, address)
    opened = {"dask": _dask, "ray": _ray}[runner]
    with ExitStack() as stack:
        try:
            found = stack.enter_context(opened(address))
        except (JarvisError, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - theirs to choose
            where = f"at {address}" if address else "on this machine"
            raise JarvisError(f"no {runner} cluster {where}: {one_line(error)}") from None
        yield found


def _at_once(spec: Spec, sets: Sets) -> Future[Tried]:
    done: Future[Tried] = Future()
    done.set_result(execute_sweep(spec, sets))
    return done


@contextmanager
def _dask(address: str | None) -> Iterator[Crew]:
    from distributed import Client, LocalCluster

    own: dict[str, Any] = {
        "n_workers": os.cpu_count() or 1,
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": None,
        "env": {"PREFECT_PLUGINS_ENABLED": "false"},  # which complain where a worker imports Prefect
        "silence_logs": logging.CRITICAL,  # what goes wrong is told once, by us
    }
    if flow_run_id() is not None:
        from prefect_dask import DaskTaskRunner

        prefect = DaskTaskRunner(address=address) if address else DaskTaskRunner(cluster_kwargs=own)
        with prefect, _recorded(prefect, lambda: _cores(prefect.client)) as found:
            yield found
        return
    with ExitStack() as stack:
        where = address or stack.enter_context(LocalCluster(**own))
        client = stack.enter_context(Client(where, timeout=_SECONDS, set_as_default=False))
        executor = client.get_executor(pure=False)
        yield Crew(_AHEAD * _cores(client), lambda spec, sets: executor.submit(try_sets, spec, sets))


def _cores(client: Any) -> int:
    """Return how many tasks the workers of a Dask cluster do at once; one that has none yet may get some."""
    threads: dict[str, int] = client.nthreads()
    return max(1, sum(threads.values()))


@contextmanager
def _ray(address: str | None) -> Iterator[Crew]:
    for name, value in _RAY_SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    own: dict[str, Any] = {"include_dashboard": False} if address is None else {}
    if flow_run_id() is not None:
        from prefect_ray import RayTaskRunner

        prefect = RayTaskRunner(address=address, init_kwargs=quiet | own)
        with prefect, _recorded(prefect, _ray_cores) as found:
            yield found
        return
    ray.init(address=address or "local", **quiet, **own)
    try:
        remote = ray.remote(max_retries=ATTEMPTS)(try_sets)
        yield Crew(_AHEAD * _ray_cores(), lambda spec, sets: remote.remote(spec, sets).future())
    finally:
        ray.shutdown()


def _ray_cores() -> int:
    """Return how many tasks the nodes of a Ray cluster do at once."""
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


@contextmanager
def _recorded(runner: Any, cores: Callable[[], int]) -> Iterator[Crew]:
    """Have each task run by one of Prefect's task runners; a thread waits for each that is under way."""
    ahead = _AHEAD * cores()
    with ThreadPoolExecutor(ahead) as threads:

        def submit(spec: Spec, sets: Sets) -> Future[Tried]:
            future = runner.submit(execute_sweep, {"spec": spec, "sets": sets})
            return threads.submit(copy_context().run, future.result)

        yield Crew(ahead, submit)


def _result(future: Future[Tried], task: Task, attempt: int) -> Tried | None:
    """Return what became of a task, None where it is to be tried again."""
    try:
        return future.result()
    except JarvisError as error:
        raise _plain(error) from None
    except Exception as error:  # noqa: BLE001 - a worker may be lost in many ways
        if attempt < ATTEMPTS:
            return None
        numbers = task.sets[:, 0]
        lost = f"sets {numbers[0]} to {numbers[-1]} failed {attempt} times on the workers: {one_line(error)}"
        raise JarvisError(f"{lost}; what is done is in the lake, and the same command goes on") from None


def _plain(error: JarvisError) -> JarvisError:
    """Return an error of ours as it was raised; Ray's has the worker's traceback in its words."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, JarvisError) else error


def _knock(runner: str, address: str) -> None:
    """Raise JarvisError in seconds where nothing listens at an address, which clusters take minutes to say."""
    if address in ("auto", "local"):
        return
    url = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = url.hostname, url.port or _PORTS[runner]
    except ValueError:
        host, port = None, 0
    if not host:
        raise BadInput(f"address {address}: write host:port")
    try:
        socket.create_connection((host, port), _SECONDS).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise JarvisError(
            f"no {runner} cluster answers at {address}: {reason}; start one, or leave --address"
        ) from None
