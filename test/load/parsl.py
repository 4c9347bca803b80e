"""Parsl's HighThroughputExecutor on this machine: the same two questions that bench.ts asks of Errand.

Prints one JSON object. Its first argument is a directory that it may fill.
"""

import json
import sys
import time

import parsl
from parsl import python_app
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

TASKS, WARM = 10_000, 1_000
LATENCIES = 500


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(p / 100 * len(ordered)))]


@python_app
def identity(x):
    return x


def main(directory):
    config = Config(
        executors=[
            HighThroughputExecutor(
                label="local",
                address="127.0.0.1",
                max_workers_per_node=2,
                cores_per_worker=1,
                encrypted=True,
                provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
            )
        ],
        run_dir=directory,
        strategy="none",
        initialize_logging=False,
    )
    begun = time.perf_counter()
    with parsl.load(config):
        identity(0).result()
        first_s = time.perf_counter() - begun
        for future in [identity(i) for i in range(WARM)]:
            future.result()
        rounds = []
        for _ in range(3):
            begun = time.perf_counter()
            for future in [identity(i) for i in range(TASKS)]:
                future.result()
            rounds.append(TASKS / (time.perf_counter() - begun))
        latencies = []
        for i in range(LATENCIES + 50):
            begun = time.perf_counter()
            identity(i).result()
            if i >= 50:
                latencies.append((time.perf_counter() - begun) * 1000)
    return {
        "version": parsl.__version__,
        "firstResultMs": first_s * 1000,
        "pythonTasksPerS": sorted(rounds)[1],
        "pythonRoundsTasksPerS": rounds,
        "latencyMs": {f"p{p}": percentile(latencies, p) for p in (50, 95, 99)},
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
