"""What somebody with another Python than the endpoint's is told: `name JSON`, one a line. Words: the endpoint's id."""

import json
import sys
import time
import warnings

from globus_compute_sdk import Client, Executor
from globus_compute_sdk.serialize import JSONData, PureSourceTextInspect

endpoint = sys.argv[1]


def say(name, value):
    print(name, json.dumps(value), flush=True)


def add(a, b=1):
    return a + b


def warned_of(client, *arguments):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        task = client.run(*arguments, endpoint_id=endpoint, function_id=client.register_function(add))
    return task, [str(one.message) for one in caught if "Written by" in str(one.message)]


as_text = Client(code_serialization_strategy=PureSourceTextInspect(), data_serialization_strategy=JSONData())
# The first task of the endpoint: what its workers are is known after it.
with Executor(endpoint_id=endpoint, client=as_text) as executor:
    say("source", executor.submit(add, 1, b=2).result(60))
say("quiet", warned_of(as_text, 1)[1])
# The endpoint tells within a second, and the cloud looks within three.
deadline = time.monotonic() + 30
sentences = []
while not sentences and time.monotonic() < deadline:
    time.sleep(0.5)
    task, sentences = warned_of(Client(), 1)
say("sentences", sentences)
say("task", task)
