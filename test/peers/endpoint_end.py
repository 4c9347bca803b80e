"""Of an endpoint that allows one function: what is taken and what is refused, `name JSON`, one a line.

Words: the ids of the endpoint, of that function and of another, and a directory in which nothing has to be waited for.
"""

import json
import sys

from globus_compute_sdk import Client, Executor
from globus_sdk import GlobusAPIError

endpoint, allowed, other, directory = sys.argv[1:]
gcc = Client()


def say(name, value):
    print(name, json.dumps(value), flush=True)


say("allowed", gcc.get_allowed_functions(endpoint))
with Executor(endpoint_id=endpoint, client=gcc) as executor:
    say("permitted", executor.submit_to_registered_function(allowed, (directory, 7)).result(90))
try:
    say("forbidden", gcc.run(directory, 7, endpoint_id=endpoint, function_id=other))
except GlobusAPIError as error:
    say("forbidden", [error.http_status, error.code, error.message])
