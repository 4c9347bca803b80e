"""An MPI program, the nodes' hardware, and the end of an endpoint by its owner: `name JSON`, one a line.

Words: the ids of an endpoint that runs and of one that may be ended.
"""

import json
import sys
import time

from globus_compute_sdk import Client, Executor, MPIFunction
from globus_compute_sdk.errors import TaskPending
from globus_sdk import GlobusAPIError

endpoint, spare = sys.argv[1:]
gcc = Client()


def say(name, value):
    print(name, json.dumps(value), flush=True)


def refusal(ask):
    try:
        ask()
    except GlobusAPIError as error:
        return [error.http_status, error.code]
    return "not refused"


hardware = gcc.get_worker_hardware_details(endpoint)
with Executor(endpoint_id=endpoint, client=gcc) as executor:
    executor.resource_specification = {"num_nodes": 1, "ranks_per_node": 2}
    mpi = executor.submit(MPIFunction("sh -c 'echo {word} $OMPI_COMM_WORLD_SIZE'"), word="ranks").result(60)
    say("mpi", [mpi.returncode, mpi.stdout, mpi.stderr])
while True:
    try:
        say("hardware", gcc.get_result(hardware))
        break
    except TaskPending:
        time.sleep(0.2)
stopped = gcc.stop_endpoint(spare)
say("stopped", [stopped["endpoint_id"], stopped["lock_expiration_timestamp"] > time.time()])
say("deleted", gcc.delete_endpoint(spare).data)
say("gone", refusal(lambda: gcc.get_endpoint_status(spare)))
say("endpoints", [row["uuid"] for row in gcc.get_endpoints()])
