/** Every verb, in the order of `errand --help`: the table that help, completion and the tests read. */
import type { Groups } from "./program.ts";
import type { Verb } from "./verb.ts";
import { cloudAudit } from "./verbs/cloud-audit.ts";
import { cloudDoctor } from "./verbs/cloud-doctor.ts";
import { cloudStart } from "./verbs/cloud-start.ts";
import { cloudStatus } from "./verbs/cloud-status.ts";
import { cloudStop } from "./verbs/cloud-stop.ts";
import { cloudUserAdd } from "./verbs/cloud-user-add.ts";
import { cloudUserAdmin } from "./verbs/cloud-user-admin.ts";
import { cloudUserList } from "./verbs/cloud-user-list.ts";
import { completionVerb } from "./verbs/completion.ts";
import { endpointConfigure } from "./verbs/endpoint-configure.ts";
import { endpointDelete } from "./verbs/endpoint-delete.ts";
import { endpointDoctor } from "./verbs/endpoint-doctor.ts";
import { endpointList } from "./verbs/endpoint-list.ts";
import { endpointLogs } from "./verbs/endpoint-logs.ts";
import { endpointPause } from "./verbs/endpoint-pause.ts";
import { endpointRender } from "./verbs/endpoint-render.ts";
import { endpointRestart } from "./verbs/endpoint-restart.ts";
import { endpointResume } from "./verbs/endpoint-resume.ts";
import { endpointScript } from "./verbs/endpoint-script.ts";
import { endpointShareVerb } from "./verbs/endpoint-share.ts";
import { endpointShares } from "./verbs/endpoint-shares.ts";
import { endpointStart } from "./verbs/endpoint-start.ts";
import { endpointStatus } from "./verbs/endpoint-status.ts";
import { endpointStop } from "./verbs/endpoint-stop.ts";
import { endpointUnshare } from "./verbs/endpoint-unshare.ts";
import { endpointUsers } from "./verbs/endpoint-users.ts";
import { flowCancel } from "./verbs/flow-cancel.ts";
import { flowCreate } from "./verbs/flow-create.ts";
import { flowDelete } from "./verbs/flow-delete.ts";
import { flowLint } from "./verbs/flow-lint.ts";
import { flowList } from "./verbs/flow-list.ts";
import { flowLog } from "./verbs/flow-log.ts";
import { flowRender } from "./verbs/flow-render.ts";
import { flowRerun } from "./verbs/flow-rerun.ts";
import { flowResume } from "./verbs/flow-resume.ts";
import { flowRuns } from "./verbs/flow-runs.ts";
import { flowShow } from "./verbs/flow-show.ts";
import { flowStart } from "./verbs/flow-start.ts";
import { flowValidate } from "./verbs/flow-validate.ts";
import { flowWatch } from "./verbs/flow-watch.ts";
import { functionDelete } from "./verbs/function-delete.ts";
import { functionList } from "./verbs/function-list.ts";
import { functionRegister } from "./verbs/function-register.ts";
import { functionShow } from "./verbs/function-show.ts";
import { get } from "./verbs/get.ts";
import { globusEnv } from "./verbs/globus-env.ts";
import { globusForward } from "./verbs/globus-forward.ts";
import { groupAdd } from "./verbs/group-add.ts";
import { groupCreate } from "./verbs/group-create.ts";
import { groupDelete } from "./verbs/group-delete.ts";
import { groupList } from "./verbs/group-list.ts";
import { groupRemove } from "./verbs/group-remove.ts";
import { groupShow } from "./verbs/group-show.ts";
import { login } from "./verbs/login.ts";
import { logout } from "./verbs/logout.ts";
import { policyChange } from "./verbs/policy-change.ts";
import { policyCreate } from "./verbs/policy-create.ts";
import { policyDelete } from "./verbs/policy-delete.ts";
import { policyList } from "./verbs/policy-list.ts";
import { policyShow } from "./verbs/policy-show.ts";
import { put } from "./verbs/put.ts";
import { run } from "./verbs/run.ts";
import { taskCancel } from "./verbs/task-cancel.ts";
import { taskExplain } from "./verbs/task-explain.ts";
import { taskList } from "./verbs/task-list.ts";
import { taskLogs } from "./verbs/task-logs.ts";
import { taskResult } from "./verbs/task-result.ts";
import { taskRetry } from "./verbs/task-retry.ts";
import { taskShow } from "./verbs/task-show.ts";
import { taskWait } from "./verbs/task-wait.ts";
import { transfer } from "./verbs/transfer.ts";
import { transferCancel } from "./verbs/transfer-cancel.ts";
import { transferFiles } from "./verbs/transfer-files.ts";
import { transferList } from "./verbs/transfer-list.ts";
import { transferShow } from "./verbs/transfer-show.ts";
import { whoami } from "./verbs/whoami.ts";

export const groups: Groups = {
	endpoint: "Endpoints: where functions run",
	task: "Tasks: what has been submitted",
	transfer: "Transfers: files between collections",
	function: "Registered functions",
	flow: "Flows: steps that follow one another",
	group: "Groups of people to share with",
	policy: "What endpoints ask of the logins of whoever submits",
	cloud: "A cloud of your own",
	"cloud user": "The accounts of a cloud",
};

export const verbs: readonly Verb[] = [
	login,
	logout,
	whoami,
	run,
	taskList,
	taskShow,
	taskExplain,
	taskWait,
	taskResult,
	taskLogs,
	taskCancel,
	taskRetry,
	put,
	get,
	transfer,
	transferList,
	transferShow,
	transferFiles,
	transferCancel,
	endpointConfigure,
	endpointStart,
	endpointStop,
	endpointRestart,
	endpointStatus,
	endpointList,
	endpointLogs,
	endpointPause,
	endpointResume,
	endpointScript,
	endpointShareVerb,
	endpointShares,
	endpointUnshare,
	endpointRender,
	endpointUsers,
	endpointDelete,
	endpointDoctor,
	functionRegister,
	functionList,
	functionShow,
	functionDelete,
	flowCreate,
	flowValidate,
	flowStart,
	flowList,
	flowShow,
	flowRuns,
	flowWatch,
	flowLog,
	flowCancel,
	flowResume,
	flowRerun,
	flowDelete,
	flowLint,
	flowRender,
	groupCreate,
	groupAdd,
	groupRemove,
	groupList,
	groupShow,
	groupDelete,
	policyCreate,
	policyChange,
	policyList,
	policyShow,
	policyDelete,
	cloudStart,
	cloudStop,
	cloudStatus,
	cloudUserAdd,
	cloudUserList,
	cloudUserAdmin,
	cloudAudit,
	cloudDoctor,
	globusEnv,
	globusForward,
	completionVerb(() => ({ verbs, groups })),
];
