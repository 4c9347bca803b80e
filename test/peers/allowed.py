"""What an endpoint with a list of functions says and does: `name JSON`, one a line.

Words: the endpoint's id, a function that is on its list, and one that is not.
"""

import json
import sys

from globus_compute_sdk import Client, Executor
from globus_sdk import GlobusAPIError

endpoint, allowed, other = sys.argv[1:]
gcc = Client()
print("allowed", json.dumps(gcc.get_allowed_functions(endpoint)))
with Executor(endpoint_id=endpoint, client=gcc) as executor:
    print("run", json.dumps(executor.submit_to_registered_function(allowed, (20,), {"b": 22}).result(60)))
try:
    gcc.run(1, endpoint_id=endpoint, function_id=other)
    print("other", json.dumps("was taken"))
except GlobusAPIError as error:
    print("other", json.dumps([error.http_status, error.code]))
