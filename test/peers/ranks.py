"""An MPI program over several nodes: `name JSON`, one a line. Words: the endpoint's id, nodes, ranks on each."""

import json
import sys

from globus_compute_sdk import Executor, MPIFunction

endpoint, nodes, ranks = sys.argv[1:]
with Executor(endpoint_id=endpoint) as executor:
    executor.resource_specification = {"num_nodes": int(nodes), "ranks_per_node": int(ranks)}
    done = executor.submit(MPIFunction("sh -c 'echo rank $OMPI_COMM_WORLD_RANK on $SLURMD_NODENAME'")).result(60)
print("mpi", json.dumps([done.returncode, done.stdout, done.stderr]))
