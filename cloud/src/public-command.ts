/** A command function as Python source, for endpoints of the public interface, which run nothing else. */
import { type CommandFunction, joinBuffer, pack, serializations, splitBuffer, unpack } from "@errand/proto";

/**
 * Quotes each value as one word and runs the text as our own worker does: in a process group of its own, ended with
 * return code 124 at the walltime. Needs nothing but Python.
 */
const source = `import json, os, re, shlex, signal, subprocess

COMMAND = json.loads(@COMMAND@)

def word(value):
    if isinstance(value, (list, tuple)):
        return " ".join(word(item) for item in value)
    if value is None:
        return "''"
    if isinstance(value, bool):
        return "true" if value else "false"
    return shlex.quote(json.dumps(value) if isinstance(value, dict) else str(value))

def last_lines(data):
    lines = data.decode("utf-8", "replace").splitlines(True)
    return "".join(lines[-COMMAND.get("snippet_lines", 1000):])

def run(**values):
    def fill(place):
        return place.group(0)[0] if place.group(1) is None else word(values[place.group(1)])
    text = re.sub(r"\\{\\{|\\}\\}|\\{([A-Za-z_]\\w*)\\}", fill, COMMAND["command"])
    shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
    child = subprocess.Popen([shell, "-c", text], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True, env=dict(os.environ, **COMMAND.get("environment", {})))
    limit = COMMAND.get("walltime_ms")
    late = False
    try:
        out, err = child.communicate(timeout=None if limit is None else limit / 1000)
    except subprocess.TimeoutExpired:
        late = True
        os.killpg(child.pid, signal.SIGTERM)
        try:
            out, err = child.communicate(timeout=1)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
    code = 124 if late else child.returncode
    name = "subprocess.TimeoutExpired" if late else "subprocess.CalledProcessError" if code else None
    return {"cmd": text, "stdout": last_lines(out), "stderr": last_lines(err), "returncode": code,
        "exception_name": name}
`;

/** Packed code of a command → packed code of a Python function that takes its values as keywords. */
export function commandInPython(packedCode: string): string {
	const command = JSON.parse(splitBuffer(unpack(packedCode)[0] as string).content) as CommandFunction;
	// A JSON string is a Python string literal as well.
	const literal = JSON.stringify(JSON.stringify(command));
	return pack([joinBuffer(serializations.pythonSource, `run:${source.replace("@COMMAND@", () => literal)}`)]);
}
