"""The public interface's own code at both ends of our codecs: lines of JSON come in, one answer goes out for each.

{"unpack": hex}   → {"type", "hex"}: what the message is, and the same message packed again
{"split": text}   → {"buffers"}: the buffers of packed text
{"join": [text]}  → {"text"}: packed
{"load": buffer}  → {"json"}: what the buffer holds
{"dump": value}   → {"text"}: the value as a buffer, by JSONData
"""

import json
import sys

from globus_compute_common import messagepack
from globus_compute_sdk.serialize import ComputeSerializer, concretes

serializer = ComputeSerializer(strategy_data=concretes.JSONData())


def unpack(text):
    message = messagepack.unpack(bytes.fromhex(text))
    return {"type": message.message_type, "hex": messagepack.pack(message).hex()}


answers = {
    "unpack": unpack,
    "split": lambda text: {"buffers": serializer.unpack_buffers(text)},
    "join": lambda buffers: {"text": serializer.pack_buffers(buffers)},
    "load": lambda buffer: {"json": serializer.deserialize(buffer)},
    "dump": lambda value: {"text": serializer.serialize(value)},
}
for line in sys.stdin:
    for name, argument in json.loads(line).items():
        print(json.dumps(answers[name](argument)), flush=True)
