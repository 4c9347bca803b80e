"""The public interface's own code at both ends of our codecs: lines of JSON come in, one answer goes out for each.

{"unpack": hex}   → {"type", "hex"}: what the message is, and the same message packed again
{"split": text}   → {"buffers"}: the buffers of packed text
{"join": [text]}  → {"text"}: packed
{"load": buffer}  → {"json"}: what the buffer holds
{"dump": value}   → {"text"}: the value as a buffer, by JSONData
{"strategies": 0} → {"buffers"}: by each way there is to serialize: its name, whether it is for code, a buffer, and it packed
{"call": buffer, "with": arguments} → {"value"}: what the function in the buffer returns
"""

import json
import sys

from globus_compute_common import messagepack
from globus_compute_sdk.serialize import ComputeSerializer, concretes
from globus_compute_sdk.serialize.base import SerializationStrategy

def double(x):
    return x * 2


serializer = ComputeSerializer(strategy_data=concretes.JSONData())


def unpack(text):
    message = messagepack.unpack(bytes.fromhex(text))
    return {"type": message.message_type, "hex": messagepack.pack(message).hex()}


def strategies(_):
    found = []
    for strategy in sorted(SerializationStrategy._CACHE.values(), key=lambda one: one.identifier):
        if strategy.for_code is None:
            continue
        try:
            buffer = strategy.serialize(double if strategy.for_code else {"é🙂": [1, 2.5, None, True]})
        except NotImplementedError:
            continue  # it may still be read
        found.append([type(strategy).__name__, strategy.for_code, buffer, serializer.pack_buffers([buffer, buffer])])
    return {"buffers": found}


answers = {
    "unpack": unpack,
    "split": lambda text: {"buffers": serializer.unpack_buffers(text)},
    "join": lambda buffers: {"text": serializer.pack_buffers(buffers)},
    "load": lambda buffer: {"json": serializer.deserialize(buffer)},
    "dump": lambda value: {"text": serializer.serialize(value)},
    "strategies": strategies,
    "call": lambda buffer, arguments: {"value": serializer.deserialize(buffer)(*arguments)},
}
for line in sys.stdin:
    question = json.loads(line)
    name = next(iter(question))
    print(json.dumps(answers[name](*question.values())), flush=True)
