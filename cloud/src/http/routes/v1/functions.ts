import { functionSummary, page } from "@errand/proto/rest";
import type { Operations } from "../../../operations/operations.ts";
import { type Route, route } from "../../route.ts";
import { given, pageQuery } from "../ids.ts";

export const functions = (operations: Operations): Route[] => [
	route({
		method: "GET",
		path: "/v1/functions",
		summary: "The caller's functions, newest first",
		query: pageQuery,
		reply: page(functionSummary),
		handle: (caller, { query }) => operations.listFunctions(caller, given(query)),
	}),
];
