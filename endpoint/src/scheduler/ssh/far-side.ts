/**
 * What is run on a host, as text for its `/bin/sh`. A block has a directory there, on a disk of the host's own: its
 * leading process writes its number into it, and how it ended. Answers are lines that begin with "errand".
 */
import { batchScript } from "../batch-script.ts";
import { type BlockSpec, SubmitRejected } from "../scheduler.ts";
import { shellWord } from "../shell-word.ts";

/** After this long the host forgets how a block ended. */
const forgetAfterMinutes = 1440;
/** A leading process that the directory does not name after this long has not come to be. */
const startMinutes = 1;
const endOfText = "END_OF_ERRAND_BLOCK_TEXT";

/** Whose blocks on which host: two names of one machine are two hosts. */
export interface Place {
	readonly endpoint: string;
	readonly host: string;
}

/** The state of every block of this endpoint on the host. */
export const reportText = (place: Place): string => `${common(place)}report_all\necho "errand done"\n`;

/** Starts the block unless it is there already, then reports. */
export function startText(place: Place, spec: BlockSpec): string {
	const id = shellWord(spec.blockId);
	const script = blockText(spec);
	if (script.split("\n").includes(endOfText))
		throw new SubmitRejected(`worker_init has a line ${endOfText}, which ends the text for a host`);
	return `${common(place)}
for name in $(ls "$root"); do
	case $(report "$name") in *" ended "*) [ -z "$(find "$root/$name" -prune -mmin +${forgetAfterMinutes})" ] || rm -rf "$root/$name" ;; esac
done
if mkdir "$root"/${id} 2>/dev/null; then
	cd "$root"/${id} || exit 1
	cat >block <<'${endOfText}'
${script}${endOfText}
	cat >leader <<'${endOfText}'
${leaderText(spec)}${endOfText}
	ERRAND_BLOCK_ID=${id} setsid /bin/sh ./leader </dev/null >/dev/null 2>&1 &
	looks=0
	while [ ! -s process ] && [ "$looks" -lt 200 ]; do
		looks=$((looks + 1))
		nap
	done
fi
report_all
echo "errand done"
`;
}

/** Asks the blocks to end, kills what is left after the grace, then reports. */
export function endText(place: Place, blockIds: readonly string[], graceMs: number): string {
	const ids = blockIds.map(shellWord).join(" ");
	return `${common(place)}
for id in ${ids}; do
	[ -d "$root/$id" ] || continue
	[ -f "$root/$id/status" ] || : >"$root/$id/cancelled"
	if is_led "$id"; then kill -TERM "$pid"; fi
done
looks=0
while [ "$looks" -lt ${Math.ceil(graceMs / 100)} ]; do
	led=0
	for id in ${ids}; do if is_led "$id"; then led=1; fi; done
	[ "$led" = 1 ] || break
	looks=$((looks + 1))
	nap
done
for id in ${ids}; do
	[ -d "$root/$id" ] || continue
	for process in $(of_block "$id"); do kill -KILL "$process" 2>/dev/null; done
	looks=0
	while [ -n "$(of_block "$id")" ] && [ "$looks" -lt 50 ]; do
		looks=$((looks + 1))
		nap
	done
	rm -f "$root/$id/block" "$root/$id/leader"
done
report_all
echo "errand done"
`;
}

/** What runs on the host, for people as well. */
export const blockText = (spec: BlockSpec): string =>
	batchScript({ ...spec, queue: { ...spec.queue, launcher: "single" } }, [], "single");

function common({ endpoint, host }: Place): string {
	return `set -uf
umask 077
own="/tmp/errand-$(id -u)"
root="$own/"${shellWord(endpoint)}/${shellWord(host)}
mkdir -p "$own" 2>/dev/null
if [ -L "$own" ] || [ ! -O "$own" ] || [ ! -d "$own" ]; then
	echo "errand fault $own is not a directory of this user"
	exit 1
fi
mkdir -p "$root" || exit 1
boot=$(cat /proc/sys/kernel/random/boot_id)
nap() { sleep 0.1 2>/dev/null || sleep 1; }
started() {
	line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	set -- \${line##*) }
	[ "$1" != Z ] && [ "$1" != X ] && shift 19 && echo "$1"
}
is_led() {
	pid= start= when=
	[ -f "$root/$1/process" ] && read -r pid start when <"$root/$1/process"
	[ -n "$pid" ] && [ "$when" = "$boot" ] && [ "$(started "$pid")" = "$start" ]
}
of_block() {
	set +f
	grep -lF "ERRAND_BLOCK_ID=$1" /proc/[0-9]*/environ 2>/dev/null | while read -r path; do
		process=\${path#/proc/}
		process=\${process%/environ}
		started "$process" >/dev/null && echo "$process"
	done
	set -f
}
report() {
	at="$root/$1"
	if [ -f "$at/status" ] && [ -f "$at/cancelled" ]; then echo "errand block $1 ended cancelled $(cat "$at/status")"
	elif [ -f "$at/status" ]; then echo "errand block $1 ended $(cat "$at/status")"
	elif is_led "$1"; then echo "errand block $1 running"
	elif [ ! -f "$at/process" ] && [ -z "$(find "$at" -prune -mmin +${startMinutes})" ]; then echo "errand block $1 starting"
	elif [ -n "$(of_block "$1")" ]; then echo "errand block $1 running"
	elif [ -f "$at/cancelled" ]; then echo "errand block $1 ended cancelled"
	else echo "errand block $1 ended vanished"
	fi
}
report_all() {
	for name in $(ls "$root"); do report "$name"; done
}
`;
}

/** Outlives the connection; asked to end, it asks the block; its last act is to say how the block ended. */
function leaderText({ logPath, queue }: BlockSpec): string {
	const log = shellWord(logPath);
	const limit =
		queue.walltimeMs === undefined ? "" : `timeout --foreground -k 10 ${Math.ceil(queue.walltimeMs / 1000)} `;
	return `mkdir -p "$(dirname ${log})" 2>/dev/null
if (: >>${log}) 2>/dev/null; then exec >>${log} 2>&1; else exec >>./log 2>&1; fi
block=
trap '[ -z "$block" ] || kill -TERM "$block"' TERM
read -r line </proc/$$/stat
set -f
set -- $$ \${line##*) }
echo "$1 \${21} $(cat /proc/sys/kernel/random/boot_id)" >process.new
mv process.new process
${limit}/bin/bash ./block &
block=$!
while kill -0 "$block" 2>/dev/null; do
	wait "$block"
	code=$?
done
wait "$block" 2>/dev/null
rm -f block leader
${limit === "" ? "" : `[ "$code" != 124 ] || code="timeout"\n`}echo "$code" >status.new
mv status.new status
`;
}
