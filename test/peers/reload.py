"""Another process with the same login: gets the results of a task group by its id alone."""

import json
import sys

from globus_compute_sdk import Executor

with Executor(endpoint_id=sys.argv[1], task_group_id=sys.argv[2]) as executor:
    futures = executor.reload_tasks()
    results = []
    for future in futures:
        error = future.exception(60)
        results.append(type(error).__name__ if error else future.result())
    print("count", len(results))
    print("numbers", json.dumps(sorted(value for value in results if isinstance(value, int))))
    print("failed", json.dumps([value for value in results if value == "TaskExecutionFailed"]))
