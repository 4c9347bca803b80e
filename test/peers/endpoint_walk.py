"""Uses an endpoint of Globus Compute's own by its SDK, and prints what came of it: `name JSON`, one a line.

Words: the endpoint's id; `whole` for everything that it can do, `short` for what the broker has a part in.
"""

import json
import sys
import time

from globus_compute_sdk import Client, Executor, MPIFunction, ShellFunction
from globus_compute_sdk.errors import TaskExecutionFailed, TaskPending
from globus_sdk import GlobusAPIError

endpoint, extent = sys.argv[1:]
gcc = Client()
often = {"endpoint_id": endpoint, "client": gcc, "api_burst_limit": 8, "api_burst_window_s": 1}


def say(name, value):
    print(name, json.dumps(value), flush=True)


def add(a, b=1):
    return a + b


def same(value):
    return value


def fails(word):
    raise ValueError("no such word: " + word)


def dies():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def where():
    import os
    import threading

    return [os.getpid(), os.getppid(), threading.current_thread().name]


def shown(done):
    return [type(done).__name__, done.returncode, done.stdout, done.stderr, done.exception_name]


def failure(future):
    error = future.exception(90)
    return [type(error).__name__, str(error)]


def refusal(ask):
    try:
        return ask()
    except GlobusAPIError as error:
        return [error.http_status, error.code, error.message]


def until_ended(ids):
    results = {}
    while len(results) < len(ids):
        news = gcc.get_batch_result([id for id in ids if id not in results])
        results.update((id, result) for id, result in news.items() if not result["pending"])
        time.sleep(0.2)
    return [results[id] for id in ids]


def words_of(failing):
    """What a task that fails says, when it has."""
    while True:
        try:
            return gcc.get_result(failing)
        except TaskPending:
            time.sleep(0.2)
        except TaskExecutionFailed as error:
            return str(error)


def submit_with(config, function, *args):
    batch = gcc.create_batch(user_endpoint_config=config)
    batch.add(function, args=args)
    return gcc.batch_run(endpoint, batch)["tasks"][function][0]


function = gcc.register_function(add)
say("refused.value", refusal(lambda: submit_with({"workers": "many"}, function, 1)))
say("refused.engine", refusal(lambda: submit_with({"engine": "none"}, function, 1)))

with Executor(**often) as executor:
    sums = [executor.submit(add, n, b=n) for n in range(20)]
    odd = {"tuple": (1, 2), "set": {3}, "bytes": b"\x00\xff", "complex": 4j, "text": "é😀"}
    kept = executor.submit(same, odd)
    large = executor.submit(same, "x" * 2_000_000)
    failed = executor.submit(fails, "xyzzy")
    shells = {
        "plain": executor.submit(ShellFunction("echo {word}; echo err >&2"), word="hello"),
        "code": executor.submit(ShellFunction("exit 4")),
        "late": executor.submit(ShellFunction("sleep 30", walltime=0.5)),
    }
    say("sums", [future.result(90) for future in sums])
    say("kept", kept.result(90) == odd)
    say("large", len(large.result(90)))
    say("failed", failure(failed))
    for name, future in shells.items():
        say("shell." + name, shown(future.result(90)))

    # Other settings are another process, with workers of its own.
    pids = {"plain": {executor.submit(where).result(90)[0] for _ in range(2)}}
    executor.user_endpoint_config = {"workers": 1}
    pids["one"] = {future.result(90)[0] for future in [executor.submit(where) for _ in range(2)]}
    executor.user_endpoint_config = None
    pids["again"] = {executor.submit(where).result(90)[0]}
    say("pids", {name: sorted(some) for name, some in pids.items()})

batch = gcc.create_batch()
for n in range(150):
    batch.add(function, args=(n,), kwargs={"b": 10})
made = gcc.batch_run(endpoint, batch)
say("batch", [task["result"] for task in until_ended(made["tasks"][function])])
bad = gcc.run("x", endpoint_id=endpoint, function_id=gcc.register_function(fails))
say("bad", words_of(bad))
say("status", gcc.get_endpoint_status(endpoint))
say("metadata", gcc.get_endpoint_metadata(endpoint))
say("allowed", gcc.get_allowed_functions(endpoint))

if extent == "whole":
    # Its workers are looked after every half minute: asked first, heard last.
    lost = submit_with({"engine": "htex"}, gcc.register_function(dies))
    hardware = gcc.get_worker_hardware_details(endpoint)
    with Executor(**often, user_endpoint_config={"engine": "htex"}) as executor:
        futures = [executor.submit(add, n, b=n) for n in range(8)]
        workers = [executor.submit(where) for _ in range(2)]
        failed = executor.submit(fails, "htex")
        plain = executor.submit(ShellFunction("echo {word}"), word="hello")
        say("htex.sums", [future.result(90) for future in futures])
        say("htex.failed", failure(failed))
        say("htex.shell", shown(plain.result(90)))
        say("htex.parents", sorted({future.result(90)[1] for future in workers}))
        executor.resource_specification = {"cores": 2}
        say("htex.resources", failure(executor.submit(add, 1)))
    with Executor(**often, user_endpoint_config={"engine": "mpi"}) as executor:
        executor.resource_specification = {"num_nodes": 1, "ranks_per_node": 2, "launcher_options": "-iface lo"}
        ranks = executor.submit(MPIFunction("sh -c 'echo {word} $PMI_RANK of $PMI_SIZE'"), word="rank")
        say("mpi", shown(ranks.result(90)))
        executor.resource_specification = None
        say("mpi.nothing", failure(executor.submit(add, 1)))
    until_ended([hardware])
    say("hardware", gcc.get_result(hardware))
    say("lost", words_of(lost))
