/**
 * Where an embedded PostgreSQL lives and as whom it runs. The server refuses to run as root, so a cloud that is root
 * gives it an unprivileged user and a directory that this user can reach.
 */
import { createHash } from "node:crypto";
import { chmod, chown, lstat, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

/** A user that owns nothing else, or undefined: run as whoever we are. */
export interface ServerUser {
	readonly uid: number;
	readonly gid: number;
}

export interface PostgresHome {
	/** The server's user when we are root. */
	readonly user: ServerUser | undefined;
	/** A user with a name, for `initdb`, which insists on one; only when we are root. */
	readonly namedUser: ServerUser | undefined;
	/** Holds `data`; 0700, owned by the server's user. */
	readonly directory: string;
	/** Holds the socket; 0700, owned by the server's user, short enough for a socket's path. */
	readonly socketDirectory: string;
}

/** Below 65,536, so that it exists in a container with mapped users, and outside of what distributions hand out. */
const dedicatedUid = 64_517;
/** `sun_path` holds 108 bytes with its end, and the socket's name is `/.s.PGSQL.5432`. */
const socketDirectoryLimitBytes = 108 - 1 - "/.s.PGSQL.5432.lock".length;
const systemRoot = "/var/lib/errand";

/** Makes or finds the home of the server that belongs to a state directory. May be repeated. */
export async function openPostgresHome(stateDirectory: string): Promise<PostgresHome> {
	const wanted = resolve(stateDirectory);
	await mkdir(wanted, { recursive: true, mode: 0o700 });
	if (process.getuid?.() !== 0) {
		return {
			user: undefined,
			namedUser: undefined,
			directory: wanted,
			socketDirectory: await socketPlace(wanted, wanted, undefined),
		};
	}
	const users = await serverUsers();
	const directory = (await othersMayPass(dirname(wanted))) ? join(wanted, "server") : await farDirectory(wanted);
	if (directory.startsWith(wanted)) await chmod(wanted, 0o711);
	await ownedDirectory(directory, users.user);
	return { ...users, directory, socketDirectory: await socketPlace(wanted, directory, users.user) };
}

async function serverUsers(): Promise<{ user: ServerUser; namedUser: ServerUser }> {
	const rows = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
	const nobody = rows.find(([name]) => name === "nobody");
	if (nobody === undefined)
		throw new Error(
			"embedded PostgreSQL: /etc/passwd has no user 'nobody' to make the database with; set DATABASE_URL",
		);
	const namedUser = { uid: Number(nobody[2]), gid: Number(nobody[3]) };
	const taken = rows.some((row) => Number(row[2]) === dedicatedUid);
	return { namedUser, user: taken ? namedUser : { uid: dedicatedUid, gid: dedicatedUid } };
}

async function othersMayPass(directory: string): Promise<boolean> {
	for (let at = directory; ; at = dirname(at)) {
		if (((await stat(at)).mode & 0o001) === 0) return false;
		if (at === dirname(at)) return true;
	}
}

/** Where a server lives whose state directory its user cannot reach; the pointer file says so to people and to us. */
async function farDirectory(wanted: string): Promise<string> {
	const pointer = join(wanted, "location");
	const known = await readFile(pointer, "utf8").catch(() => "");
	if (known.startsWith(systemRoot)) return known.trim();
	const place = join(systemRoot, createHash("sha256").update(wanted).digest("hex").slice(0, 16));
	await mkdir(systemRoot, { recursive: true, mode: 0o755 });
	await writeFile(pointer, `${place}\n`, { mode: 0o600 });
	return place;
}

async function socketPlace(stateDirectory: string, home: string, user: ServerUser | undefined): Promise<string> {
	const near = join(home, "socket");
	if (Buffer.byteLength(near) <= socketDirectoryLimitBytes) {
		await ownedDirectory(near, user);
		return near;
	}
	const pointer = join(stateDirectory, "socket-location");
	const earlier = (await readFile(pointer, "utf8").catch(() => "")).trim();
	if (earlier !== "" && (await isOwned(earlier, user))) return earlier;
	const far = await mkdtemp(join(tmpdir(), "errand-pg-"));
	await ownedDirectory(far, user);
	await writeFile(pointer, `${far}\n`, { mode: 0o600 });
	return far;
}

async function isOwned(directory: string, user: ServerUser | undefined): Promise<boolean> {
	const found = await lstat(directory).catch(() => undefined);
	return found?.isDirectory() === true && found.uid === (user?.uid ?? process.getuid?.()) && (found.mode & 0o077) === 0;
}

async function ownedDirectory(directory: string, user: ServerUser | undefined): Promise<void> {
	await mkdir(directory, { recursive: true, mode: 0o700 });
	const found = await lstat(directory);
	if (!found.isDirectory()) throw new Error(`embedded PostgreSQL: ${directory} is not a directory`);
	await chmod(directory, 0o700);
	if (user !== undefined) await chown(directory, user.uid, user.gid);
}

/** Removes what lies outside the state directory. For those who end a database for good: tests, `cloud delete`. */
export async function removePostgresHome(stateDirectory: string): Promise<void> {
	const wanted = resolve(stateDirectory);
	for (const [file, root] of [
		["location", systemRoot],
		["socket-location", join(tmpdir(), "errand-pg-")],
	] as const) {
		const place = (await readFile(join(wanted, file), "utf8").catch(() => "")).trim();
		if (place.startsWith(root)) await rm(place, { recursive: true, force: true });
	}
	await rm(wanted, { recursive: true, force: true });
}
