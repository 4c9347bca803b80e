/**
 * Which managers are here, of which attempt of their block. A manager of an earlier attempt, or of a block that has ended,
 * is shut out: it kills what it runs and ends. After a start, those of the last daemon are waited for.
 */
import type { Hello } from "@errand/proto/wire";

interface Attachment {
	readonly blockId: string;
	readonly attempt: number;
	attached: boolean;
}

export class Attachments {
	readonly #managers = new Map<string, Attachment>();
	readonly #blocks = new Map<string, Set<string>>();
	readonly #shutOut = new Set<string>();
	/** Blocks of an earlier daemon, and how many managers each of them has. */
	readonly #expected: Map<string, number>;
	readonly #expectedUntilMs: number;

	constructor(expected: Map<string, number>, expectedUntilMs: number) {
		this.#expected = expected;
		this.#expectedUntilMs = expectedUntilMs;
	}

	/** @param isOurs whether the manager's attempt of its block is the present one */
	attach({ managerId, blockId, attempt }: Hello, isOurs: boolean): void {
		if (!isOurs) this.#shutOut.add(managerId);
		this.#managers.set(managerId, { blockId, attempt, attached: true });
		const members = this.#blocks.get(blockId);
		if (members) members.add(managerId);
		else this.#blocks.set(blockId, new Set([managerId]));
	}

	detach(managerId: string): void {
		const manager = this.#managers.get(managerId);
		if (manager) manager.attached = false;
	}

	isShutOut(managerId: string): boolean {
		return this.#shutOut.has(managerId);
	}

	/** Shuts out the block's managers of attempts before this one, or all when it is undefined. Returns who they are. */
	shutOut(blockId: string, before: number | undefined): string[] {
		const members = [...(this.#blocks.get(blockId) ?? [])].filter((id) => {
			const attempt = this.#managers.get(id)?.attempt ?? 0;
			return !this.#shutOut.has(id) && (before === undefined || attempt < before);
		});
		for (const id of members) this.#shutOut.add(id);
		return members;
	}

	/** Of those of the block that are not shut out, how many are attached now. */
	count(blockId: string): number {
		let count = 0;
		for (const id of this.#blocks.get(blockId) ?? [])
			if (this.#managers.get(id)?.attached && !this.#shutOut.has(id)) count++;
		return count;
	}

	blockOf(managerId: string): string | undefined {
		return this.#managers.get(managerId)?.blockId;
	}

	/** The block has ended. A manager of it that comes all the same is not known any more. */
	forget(blockId: string): void {
		for (const id of this.#blocks.get(blockId) ?? []) {
			this.#managers.delete(id);
			this.#shutOut.delete(id);
		}
		this.#blocks.delete(blockId);
		this.#expected.delete(blockId);
	}

	/** Nobody of the last daemon is waited for any more. */
	haveAllCome(nowMs: number): boolean {
		for (const [blockId, managers] of this.#expected)
			if (this.count(blockId) >= managers) this.#expected.delete(blockId);
		return this.#expected.size === 0 || nowMs >= this.#expectedUntilMs;
	}
}
