"""Uses Globus Compute's SDK as its documentation shows, and prints what came of it: `name JSON`, one a line.

Words: the endpoint's id, and where to put what another process needs.
"""

import json
import sys
import time

import globus_compute_sdk
from globus_compute_sdk import Client, Executor, ShellFunction
from globus_compute_sdk.errors import TaskExecutionFailed, TaskPending
from globus_sdk import GlobusAPIError

endpoint = sys.argv[1]
gcc = Client()


def say(name, value):
    print(name, json.dumps(value), flush=True)


def add(a, b=1):
    return a + b


def times(a, b):
    return a * b


def same(value):
    return value


def fails(word):
    raise ValueError("no such word: " + word)


def slow(seconds):
    import time

    time.sleep(seconds)
    return "slept"


def until_ended(ids):
    results = {}
    while True:
        results.update(gcc.get_batch_result([id for id in ids if id not in results or results[id]["pending"]]))
        if all(id in results and not results[id]["pending"] for id in ids):
            return [results[id] for id in ids]
        time.sleep(0.2)


def refusal(ask):
    try:
        ask()
    except GlobusAPIError as error:
        return [error.http_status, error.code, error.message]
    return "not refused"


say("version", globus_compute_sdk.__version__)

with Executor(endpoint_id=endpoint, client=gcc, api_burst_limit=8, api_burst_window_s=1) as executor:
    # One request each for these three functions, all under way at once.
    sums = [executor.submit(add, n, b=n) for n in range(20)]
    odd = {"tuple": (1, 2), "set": {3}, "bytes": b"\x00\xff", "complex": 4j, "text": "é😀"}
    kept = executor.submit(same, odd)
    failed = executor.submit(fails, "xyzzy")
    large = executor.submit(same, "x" * 2_000_000)
    shells = {
        "plain": executor.submit(ShellFunction("echo {word}; echo err >&2; pwd"), word="hello"),
        "code": executor.submit(ShellFunction("exit 4")),
        "late": executor.submit(ShellFunction("sleep 30", walltime=0.5)),
    }
    registered = executor.register_function(times, description="multiplies")
    again = executor.submit_to_registered_function(registered, (6,), {"b": 7})
    say("sums", [future.result(60) for future in sums])
    say("kept", kept.result(60) == odd)
    say("large", len(large.result(60)))
    try:
        failed.result(60)
    except TaskExecutionFailed as error:
        say("failed", str(error))
    for name, future in shells.items():
        done = future.result(60)
        say("shell." + name, [type(done).__name__, done.returncode, done.stdout, done.stderr, done.exception_name])
    say("registered", again.result(60))
    say("ids", [sums[0].task_id == future.task_id for future in sums[:2]])
    group = str(executor.task_group_id)
    say("group", group)

# What scripts without an executor do.
function = gcc.register_function(add)
say("function", gcc.get_function(function)["function_name"])
waiting = gcc.run(5, endpoint_id=endpoint, function_id=gcc.register_function(slow))
try:
    gcc.get_result(waiting)
    say("pending", "not pending")
except TaskPending:
    say("pending", True)
busy = 0
while busy == 0 and gcc.get_task(waiting)["pending"]:
    details = gcc.get_endpoint_status(endpoint)["details"]
    busy = details["total_workers"] - details["idle_workers"]
    time.sleep(0.2)
say("busy", busy)
batch = gcc.create_batch()
for n in range(5):
    batch.add(function, args=(n,), kwargs={"b": 10})
made = gcc.batch_run(endpoint, batch)
say("batch", [task["result"] for task in until_ended(made["tasks"][function])])
single = gcc.run(1, endpoint_id=endpoint, function_id=function)
until_ended([single])
say("result", gcc.get_result(single))
say("task", {key: gcc.get_task(single)[key] for key in ("pending", "status")})
until_ended([waiting])
say("slept", gcc.get_result(waiting))
bad = gcc.run("x", endpoint_id=endpoint, function_id=gcc.register_function(fails))
while True:
    try:
        gcc.get_result(bad)
        say("bad", "did not fail")
        break
    except TaskPending:
        time.sleep(0.2)
    except TaskExecutionFailed as error:
        say("bad", str(error))
        break

while gcc.get_endpoint_status(endpoint)["details"]["outstanding_tasks"] != 0:
    time.sleep(0.2)
say("status", gcc.get_endpoint_status(endpoint))
say("metadata", gcc.get_endpoint_metadata(endpoint))
say("endpoints", [row["uuid"] for row in gcc.get_endpoints()])
nobody = "00000000-0000-4000-8000-000000000000"
say("unknown.function", refusal(lambda: gcc.run(endpoint_id=endpoint, function_id=nobody)))
say("unknown.endpoint", refusal(lambda: gcc.run(endpoint_id=nobody, function_id=function)))
say("unknown.task", refusal(lambda: gcc.get_task(nobody)))
gcc.delete_function(function)
say("deleted", refusal(lambda: gcc.get_function(function)))
