"""Answers for each line of standard input, `{"document": […], "identities": […]}`, whom the endpoint's own mapper makes of
these: `{"name", "id"}`, `{"nobody": true}`, or `{"refused": why}` when it does not take the document.

Word: the id that mapping programs are told.
"""

import functools
import importlib.metadata
import json
import logging
import sys
import tempfile

from globus_compute_endpoint.endpoint.identity_mapper import PosixIdentityMapper

# It looks for mappers among everything installed, for each document anew.
importlib.metadata.entry_points = functools.cache(importlib.metadata.entry_points)
logging.disable(logging.CRITICAL)
with tempfile.NamedTemporaryFile("w") as empty:
    empty.write("[]")
    empty.flush()
    mapper = PosixIdentityMapper(empty.name, sys.argv[1])
    mapper.stop_watching()
    for line in sys.stdin:
        question = json.loads(line)
        try:
            mapper.identity_mappings = question["document"]
        except Exception as error:
            print(json.dumps({"refused": f"{type(error).__name__}: {error}"}))
            continue
        answer = {"nobody": True}
        # What its daemon does with the answer before it looks for an account.
        for mapped in mapper.map_identities(question["identities"]):
            if mapped:
                identity, names = next(iter(mapped[0].items()))
                answer = {"name": names[0], "id": identity}
                break
        print(json.dumps(answer))
