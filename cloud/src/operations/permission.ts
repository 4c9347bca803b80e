/** Refusals in the words of the public interface. Another's task, group or blob is "not found": existence is not told. */
import { Fault, type FaultCode } from "@errand/proto";
import type { Caller } from "../policy/caller.ts";
import { type Action, may, type Thing } from "../policy/policy.ts";

const ofManager = (name: string): string =>
	`Endpoint ${name} is a user endpoint: only the process that its manager endpoint starts may be it`;

const refusals: { readonly [A in Action]: readonly [FaultCode, (name: string) => string] } = {
	"function.register": ["FORBIDDEN", () => "an endpoint's key cannot register functions; log in as its owner"],
	"function.read": ["FUNCTION_ACCESS_FORBIDDEN", (name) => `Unauthorized access to function ${name}`],
	"function.use": ["FUNCTION_ACCESS_FORBIDDEN", (name) => `Unauthorized access to function ${name}`],
	"function.delete": ["FUNCTION_ACCESS_FORBIDDEN", (name) => `Function ${name} is not yours to delete`],
	"endpoint.create": ["FORBIDDEN", () => "an endpoint's key cannot register another endpoint; log in as its owner"],
	"endpoint.register": [
		"ENDPOINT_ACCESS_FORBIDDEN",
		(name) => `Endpoint ${name} belongs to another account, for ever; register yours without an id`,
	],
	"endpoint.read": ["ENDPOINT_ACCESS_FORBIDDEN", (name) => `Unauthorized access to endpoint ${name}`],
	"endpoint.submit": ["ENDPOINT_ACCESS_FORBIDDEN", (name) => `Unauthorized access to endpoint ${name}`],
	"endpoint.delete": ["ENDPOINT_ACCESS_FORBIDDEN", (name) => `Endpoint ${name} is not yours to delete`],
	"endpoint.lock": ["ENDPOINT_ACCESS_FORBIDDEN", (name) => `Endpoint ${name} is not yours to lock`],
	"endpoint.make-key": ["ENDPOINT_ACCESS_FORBIDDEN", (name) => `Endpoint ${name} is not yours to make a key for`],
	"endpoint.lease": ["ENDPOINT_ACCESS_FORBIDDEN", (name) => `Endpoint ${name} is not yours to run`],
	"endpoint.share": [
		"ENDPOINT_ACCESS_FORBIDDEN",
		(name) => `Endpoint ${name} is not yours to share; ask its owner, or an administrator that it names`,
	],
	"endpoint.clear": ["ENDPOINT_ACCESS_FORBIDDEN", (name) => `Endpoint ${name} is not yours to clear of tasks`],
	"endpoint.unshare": [
		"ENDPOINT_ACCESS_FORBIDDEN",
		(name) => `Whom endpoint ${name} is shared with is not yours to see`,
	],
	"user-endpoint.register": ["ENDPOINT_ACCESS_FORBIDDEN", ofManager],
	"user-endpoint.lease": ["ENDPOINT_ACCESS_FORBIDDEN", ofManager],
	"user-endpoint.list": ["ENDPOINT_ACCESS_FORBIDDEN", (name) => `Unauthorized access to endpoint ${name}`],
	"user-endpoint.list-all": [
		"ENDPOINT_ACCESS_FORBIDDEN",
		(name) => `What endpoint ${name} runs for others is not yours to see`,
	],
	"account-group.create": ["FORBIDDEN", () => "an endpoint's key cannot make groups; log in as its owner"],
	"account-group.list": ["FORBIDDEN", () => "an endpoint's key is in no group; log in as its owner"],
	"account-group.read": ["AUTH_GROUP_NOT_FOUND", (name) => `You are in no group ${name}`],
	"account-group.change": ["FORBIDDEN", (name) => `Group ${name} is for its administrators to change; ask one`],
	"account-group.leave": [
		"FORBIDDEN",
		(name) => `Who is in group ${name} is for its administrators to change; ask one`,
	],
	"account.administer": ["FORBIDDEN", () => "Only an administrator may manage accounts; ask one."],
	"audit.read": ["FORBIDDEN", () => "The audit log is for administrators of this cloud; ask one"],
	"project.create": ["FORBIDDEN", () => "an endpoint's key cannot make projects; log in as its owner"],
	"project.list": ["FORBIDDEN", () => "an endpoint's key has no projects; log in as its owner"],
	"project.use": ["PROJECT_NOT_FOUND", (name) => `You administer no project ${name}`],
	"policy.create": ["FORBIDDEN", () => "an endpoint's key cannot make authentication policies; log in as its owner"],
	"policy.list": ["FORBIDDEN", () => "an endpoint's key has no authentication policies; log in as its owner"],
	"policy.read": ["POLICY_NOT_FOUND", (name) => `You have no authentication policy ${name}`],
	"policy.use": [
		"SEMANTICALLY_INVALID",
		(name) => `authentication_policy: you have no policy ${name}; errand policy list shows yours`,
	],
	"policy.change": [
		"FORBIDDEN",
		(name) => `Authentication policy ${name} is for its owner and the administrators of its project to change`,
	],
	"policy.delete": [
		"FORBIDDEN",
		(name) => `Authentication policy ${name} is for its owner and the administrators of its project to delete`,
	],
	"group.create": ["FORBIDDEN", () => "an endpoint's key cannot make task groups; log in as its owner"],
	"group.submit": ["TASK_GROUP_ACCESS_FORBIDDEN", (name) => `Unauthorized access to task group ${name}`],
	"group.follow": ["TASK_GROUP_NOT_FOUND", (name) => `Task group ${name} could not be resolved`],
	"task.list": ["FORBIDDEN", () => "an endpoint's key cannot list tasks; log in as its owner"],
	"task.read": ["TASK_NOT_FOUND", (name) => `Task ${name} could not be resolved`],
	"task.cancel": ["TASK_NOT_FOUND", (name) => `Task ${name} could not be resolved`],
	"task.retry": ["TASK_NOT_FOUND", (name) => `Task ${name} could not be resolved`],
	"results.connect": ["FORBIDDEN", () => "an endpoint's key cannot read results; log in as its owner"],
	"blob.put": ["FORBIDDEN", () => "this credential cannot store values"],
	"transfer.create": ["FORBIDDEN", () => "an endpoint's key cannot ask for transfers; log in as its owner"],
	"transfer.list": ["FORBIDDEN", () => "an endpoint's key cannot list transfers; log in as its owner"],
	"transfer.read": ["TRANSFER_NOT_FOUND", (name) => `Transfer ${name} could not be resolved`],
	"transfer.cancel": ["TRANSFER_NOT_FOUND", (name) => `Transfer ${name} could not be resolved`],
	"collection.read": ["ENDPOINT_ACCESS_FORBIDDEN", (name) => `Unauthorized access to endpoint ${name}`],
	"collection.write": ["ENDPOINT_ACCESS_FORBIDDEN", (name) => `Unauthorized access to endpoint ${name}`],
	"transfer-agent.serve": [
		"FORBIDDEN",
		(name) => `Agent ${name} is not yours to speak for; an endpoint's key may for its own`,
	],
	"blob.get": ["BLOB_NOT_FOUND", (name) => `no value ${name} that you stored or that one of your tasks names`],
	"flow.create": ["FORBIDDEN", () => "an endpoint's key cannot make flows; log in as its owner"],
	"flow.list": ["FORBIDDEN", () => "an endpoint's key has no flows; log in as its owner"],
	"flow.read": ["FLOW_NOT_FOUND", (name) => `Flow ${name} could not be resolved`],
	"flow.start": [
		"FLOW_ACCESS_FORBIDDEN",
		(name) => `Flow ${name} is not yours to start; ask its owner to make you a starter`,
	],
	"flow.change": ["FLOW_ACCESS_FORBIDDEN", (name) => `Flow ${name} is for its administrators to change`],
	"flow.delete": ["FLOW_ACCESS_FORBIDDEN", (name) => `Flow ${name} is for its administrators to delete`],
	"run.list": ["FORBIDDEN", () => "an endpoint's key has no runs; log in as its owner"],
	"run.read": ["RUN_NOT_FOUND", (name) => `Run ${name} could not be resolved`],
	"run.change": ["RUN_ACCESS_FORBIDDEN", (name) => `Run ${name} is for its owner and managers to change`],
	"run.cancel": ["RUN_ACCESS_FORBIDDEN", (name) => `Run ${name} is for its owner and managers to cancel`],
	"run.release": ["RUN_ACCESS_FORBIDDEN", (name) => `Run ${name} is for its owner and managers to delete`],
	"run.resume": ["RUN_ACCESS_FORBIDDEN", (name) => `Run ${name} is for its owner and managers to resume`],
	"run.rerun": ["RUN_ACCESS_FORBIDDEN", (name) => `Run ${name} ran in its owner's name; start the flow again in yours`],
};

/** Throws the action's refusal unless the caller may. `name` says which thing. */
export function permit(caller: Caller, action: Action, thing: Thing = {}, name = ""): void {
	if (may(caller, action, thing)) return;
	const [code, words] = refusals[action];
	throw new Fault(code, words(name), { args: name === "" ? [] : [name] });
}
