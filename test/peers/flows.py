"""An unmodified FlowsClient and SpecificFlowClient: makes a flow, runs it and looks after its runs."""

import json
import sys
import time

from globus_sdk import AccessTokenAuthorizer, FlowsAPIError, FlowsClient, SpecificFlowClient

token, endpoint, function = sys.argv[1:4]
authorizer = AccessTokenAuthorizer(token)
flows = FlowsClient(authorizer=authorizer)


def told(what, value):
    print(what, json.dumps(value), flush=True)


def ended(run_id):
    while True:
        run = flows.get_run(run_id)
        if run["status"] in ("SUCCEEDED", "FAILED"):
            return run
        time.sleep(0.05)


definition = {
    "Comment": "as it was written for the field's own service; only the address and the ids are others",
    "StartAt": "Process",
    "States": {
        "Process": {
            "Type": "Action",
            "ActionUrl": "errand:compute",
            "Parameters": {
                "endpoint.$": "$.input.endpoint",
                "function.$": "$.input.function",
                "kwargs": {"x.$": "$.input.x"},
            },
            "ResultPath": "$.Process",
            "WaitTime": 600,
            "ExceptionOnActionFailure": True,
            "Next": "Enough",
        },
        "Enough": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.input.x", "NumericGreaterThan": 10, "Next": "TooMuch"}],
            "Default": "Summary",
        },
        "Summary": {
            "Type": "ExpressionEval",
            "Parameters": {"text.=": "'got ' + str(Process.details.result[0])"},
            "ResultPath": "$.Summary",
            "End": True,
        },
        "TooMuch": {"Type": "Fail", "Error": "TooMuch", "Cause": "x is more than 10"},
    },
}
schema = {
    "type": "object",
    "required": ["input"],
    "properties": {"input": {"type": "object", "required": ["x"], "properties": {"x": {"type": "number"}}}},
}

flow = flows.create_flow("double", definition, schema, subtitle="twice", keywords=["numbers"])
told("title", flow["title"])
told("validated", flows.validate_flow(definition, schema).http_status)
told("listed", [one["id"] == flow["id"] for one in flows.list_flows(filter_fulltext="double")])
told("updated", flows.update_flow(flow["id"], description="Doubles a number.")["description"])

broken = {**definition, "StartAt": "Nowhere"}
try:
    flows.validate_flow(broken, schema)
except FlowsAPIError as error:
    told("invalid", [error.http_status, error.code, "Nowhere" in (error.message or "")])

specific = SpecificFlowClient(flow["id"], authorizer=authorizer)
body = {"input": {"endpoint": endpoint, "function": function, "x": 4}}
run = specific.run_flow(body, label="four", tags=["  a   tag "])
told("started", [run.http_status, run["label"], run["tags"], run["user_role"]])
done = ended(run["run_id"])
told("done", [done["status"], done["details"]["details"]["output"]["Summary"]["text"]])

failed = ended(specific.run_flow({"input": {**body["input"], "x": 40}})["run_id"])
told("failed", [failed["status"], failed["details"]["code"], failed["details"]["details"]["error"]])
try:
    specific.run_flow({"input": {"x": "four"}})
except FlowsAPIError as error:
    told("input", [error.http_status, error.code, "must be number" in (error.message or "")])
told("run-validated", specific.validate_run(body)["message"])

told("runs", [len(list(flows.list_runs(filter_flow_id=flow["id"]))), len(list(flows.paginated.list_runs().items()))])
log = list(flows.paginated.get_run_logs(run["run_id"], limit=3).items())
told("log", [entry["code"] for entry in log])
told("reverse", flows.get_run_logs(run["run_id"], reverse_order=True, limit=1)["entries"][0]["code"])
told("definition", flows.get_run_definition(run["run_id"])["definition"] == definition)
told("relabelled", flows.update_run(run["run_id"], label="4", tags=["new"])["tags"])

waits = {"StartAt": "Sleep", "States": {"Sleep": {"Type": "Wait", "Seconds": 86400, "End": True}}}
sleeper = flows.create_flow("sleep", waits, {})
asleep = SpecificFlowClient(sleeper["id"], authorizer=authorizer)
sleeping = asleep.run_flow({})
told("resumed", asleep.resume_run(sleeping["run_id"])["status"])
flows.cancel_run(sleeping["run_id"])
cancelled = ended(sleeping["run_id"])
told("cancelled", [cancelled["status"], cancelled["details"]["code"]])
flows.delete_run(sleeping["run_id"])
try:
    flows.get_run(sleeping["run_id"])
except FlowsAPIError as error:
    told("gone", [error.http_status, error.code])
told("deleted", flows.delete_flow(sleeper["id"])["id"] == sleeper["id"])
