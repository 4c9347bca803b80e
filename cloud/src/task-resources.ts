/** What a submit asked for, as the wire says it. */
import { type ResourceSpecification, shapeOf } from "@errand/proto/rest";
import { create, type Resources, ResourcesSchema } from "@errand/proto/wire";

/** The tasks of one request share one specification: it is converted once. */
const converted = new WeakMap<object, Resources>();

/** `specification`: as the submit's schema has checked it, from the request or from the row; not changed afterwards. */
export function toResources(specification: Readonly<Record<string, unknown>>): Resources {
	let resources = converted.get(specification);
	if (resources === undefined) {
		resources = convert(specification);
		converted.set(specification, resources);
	}
	return resources;
}

type Way = NonNullable<ResourceSpecification["variants"]>[number];

function convert(specification: ResourceSpecification): Resources {
	const { walltime_ms, expected_ms, priority, variants = [], container_image } = specification;
	return create(ResourcesSchema, {
		...wayOf(specification),
		walltimeMs: walltime_ms ?? 0,
		expectedMs: expected_ms ?? 0,
		priority: priority ?? 0,
		// Each is whole; an image that the task names holds for all ways that name none.
		variants: variants.map((way) => wayOf(container_image === undefined ? way : { container_image, ...way })),
	});
}

function wayOf(way: Way) {
	const { nodes, ranksPerNode } = shapeOf(way);
	return {
		cores: way.cores ?? 0,
		memoryBytes: way.memory_bytes ?? 0,
		gpus: way.gpus ?? 0,
		nodes: nodes > 1 ? nodes : 0,
		ranksPerNode,
		named: Object.entries(way.resources ?? {}).map(([name, amount]) => ({ name, amount })),
		containerImage: way.container_image ?? "",
	};
}
