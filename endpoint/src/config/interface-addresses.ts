/** Names of network interfaces where an address is asked for: a login node's address differs from the next one's, the name does not. */
import { networkInterfaces } from "node:os";

type Interfaces = ReturnType<typeof networkInterfaces>;

/** An entry that is an interface of this machine stands for its addresses, IPv4 first; any other is kept as it is. */
export function interfaceAddresses(entries: readonly string[], interfaces: Interfaces = networkInterfaces()): string[] {
	return entries.flatMap((entry) => {
		const known = interfaces[entry];
		if (known === undefined) return [entry];
		const usable = known.filter(({ address }) => !/^fe80:/i.test(address));
		return usable.toSorted((a, b) => a.family.localeCompare(b.family)).map(({ address }) => address);
	});
}
