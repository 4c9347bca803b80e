"""Each way in which Globus Compute's SDK serializes, and what else a submit may say: `name JSON`, one a line.

Words: the endpoint's id, and that of a group.
"""

import base64
import json
import operator
import pickle
import sys

from globus_compute_sdk import Client, Executor, ShellFunction
from globus_compute_sdk.serialize import ComputeSerializer, concretes

endpoint, group = sys.argv[1:]
often = {"api_burst_limit": 8, "api_burst_window_s": 1}

# All that this release has: the test knows them by name, so that one more is noticed.
CODE = [strategy.__name__ for strategy in concretes.SELECTABLE_CODE_STRATEGIES]
DATA = [strategy.__name__ for strategy in concretes.SELECTABLE_DATA_STRATEGIES]


def say(name, value):
    print(name, json.dumps(value), flush=True)


def add(a, b=1):
    return a + b


def pair(a):
    return (a, a)


def made(a):
    def inner(b):
        return a + b

    return inner


def opened(**settings):
    executor = Executor(endpoint_id=endpoint, **often, **settings)
    executors.append(executor)
    return executor


def outcome(future):
    error = future.exception(60)
    return [type(error).__name__, str(error)] if error else future.result()


say("strategies", sorted(type(one).__name__ for one in concretes.SerializationStrategy._CACHE.values()))
executors = []
waiting = {}
client = Client()
for code in [None] + CODE:
    for data in DATA if code is None else ["DillDataBase64"]:
        # A client's serializer is that of all its executors: one each.
        executor = opened(
            client=Client(
                code_serialization_strategy=getattr(concretes, code)() if code else None,
                data_serialization_strategy=getattr(concretes, data)(),
            )
        )
        waiting["code." + code if code else "data." + data] = executor.submit(add, 1, b=2)
        if code is None:
            waiting["tuple." + data] = executor.submit(pair, 1)

plain = opened(client=client)
waiting["callable"] = plain.submit(made, 1)
source = client.register_source_code("def twice(n):\n    return 2 * n\n", "twice")
waiting["source"] = plain.submit_to_registered_function(source, (21,))
public = client.register_function(add, public=True)
waiting["public"] = plain.submit_to_registered_function(public, (1,))
# Functions of long ago are pickles; nothing makes them any more.
old = base64.encodebytes(pickle.dumps(operator.add)).decode()
packed = ComputeSerializer.pack_buffers(["02\n" + old])
meta = {"python_version": "%d.%d" % sys.version_info[:2], "sdk_version": "0.3.2", "serde_identifier": "02"}
pickled = {"function_name": "add", "function_code": packed, "meta": meta}
pickled = client._compute_web_client.v3.register_function(pickled)["function_uuid"]
waiting["pickled"] = plain.submit_to_registered_function(pickled, (1, 2))
grouped = client.register_function(add, group=group)
say("grouped", grouped)
waiting["group"] = plain.submit_to_registered_function(grouped, (1,))
json_results = opened(client=client, result_serializers=[concretes.JSONData])
waiting["result.JSONData"] = json_results.submit(pair, 1)
either = opened(client=client, result_serializers=["globus_compute_sdk.serialize.AllDataStrategies"])
waiting["result.AllDataStrategies"] = either.submit(pair, 1)
waiting["resources"] = opened(client=client, resource_specification={"priority": 3}).submit(add, 1)
waiting["configured"] = opened(client=client, user_endpoint_config={"worker_init": "true"}).submit(add, 1)
as_dict = plain.submit(ShellFunction("echo {{}}", return_dict=True))

for name, future in waiting.items():
    value = outcome(future)
    say(name, [type(value).__name__, value(2) if callable(value) else value])
say("shell.dict", as_dict.result(60))
for executor in executors:
    executor.shutdown()
