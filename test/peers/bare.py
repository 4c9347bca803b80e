"""What an endpoint runs whose Python has less than Globus Compute's SDK: `name JSON`, one a line.

Words: the id of an endpoint with nothing, of one with another dill, and of a function that another Python wrote.
"""

import json
import sys

from globus_compute_sdk import Client, Executor, ShellFunction
from globus_compute_sdk.serialize import JSONData, PureSourceTextInspect

nothing, dill_only, foreign = sys.argv[1:]


def say(name, value):
    print(name, json.dumps(value), flush=True)


def add(a, b=1):
    return a + b


def unwritable(a):
    return {a}


def outcome(future):
    error = future.exception(60)
    return str(error) if error else future.result()


gcc = Client()
as_text = Client(code_serialization_strategy=PureSourceTextInspect(), data_serialization_strategy=JSONData())
often = {"api_burst_limit": 8, "api_burst_window_s": 1}
plain = Executor(endpoint_id=nothing, client=as_text, **often)
source = plain.submit(add, 1, b=2)
unwritten = plain.submit(unwritable, 1)
default = Executor(endpoint_id=nothing, client=gcc, **often)
dilled = default.submit(add, 1)
by_dill = Executor(endpoint_id=dill_only, client=gcc, **often)
dill = by_dill.submit(add, 1, b=2)
shell = by_dill.submit(ShellFunction("true"))
mismatch = by_dill.submit_to_registered_function(foreign, (1,))
say("source", outcome(source))
say("unwritten", outcome(unwritten))
say("dilled", outcome(dilled))
say("dill", outcome(dill))
say("shell", outcome(shell))
say("mismatch", outcome(mismatch))
say("result", gcc.get_result(dill.task_id))
for executor in (plain, default, by_dill):
    executor.shutdown()
