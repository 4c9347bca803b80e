"""Globus Compute's Executor with no-op tasks, as its documentation shows it. Prints one JSON object.

Words: the endpoint's id, tasks in a round, rounds, tasks one at a time.
"""

import json
import sys
import time

from globus_compute_sdk import Client, Executor

endpoint = sys.argv[1]
tasks, rounds, singles = map(int, sys.argv[2:])


def identity(x):
    return x


# Its own limit on requests is set as wide as it goes; batches are its default, 128 tasks.
with Executor(endpoint_id=endpoint, client=Client(), api_burst_limit=8, api_burst_window_s=1) as executor:

    def finish(count):
        for future in [executor.submit(identity, i) for i in range(count)]:
            future.result()

    finish(200)
    rates, cpu = [], time.process_time()
    for _ in range(rounds):
        begun = time.perf_counter()
        finish(tasks)
        rates.append(tasks / (time.perf_counter() - begun))
    cpu = time.process_time() - cpu
    latencies = []
    for i in range(singles):
        begun = time.perf_counter()
        executor.submit(identity, i).result()
        latencies.append((time.perf_counter() - begun) * 1000)
print(json.dumps({"rounds": rates, "latenciesMs": latencies, "cpuUs": cpu * 1e6 / (rounds * tasks)}))
