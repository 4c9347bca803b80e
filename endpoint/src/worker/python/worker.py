"""Errand's Python worker: runs functions, one at a time, for the manager at file descriptor 3.

One file, standard library only, Python 3.8 or newer. Functions sent as source (`st`, `sd`) with JSON arguments run with
nothing installed; other serializations go through `dill` or `globus_compute_sdk` where these can be imported.
The messages are those of errand/v1/worker.proto; a frame is a 4-byte little-endian length and one message.
"""

import base64
import json
import linecache
import math
import os
import platform
import shutil
import signal
import socket
import struct
import sys
import time
import traceback
import types

RUNTIME_PYTHON = 2
MARKER = "ERRAND_WORKER_ID"
FILE = __file__

# ---------------------------------------------------------------- protobuf: what worker.proto needs of it

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def read_varint(data, at):
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value = byte & 0x7F
    shift = 7
    while True:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7


def fields(data):
    """Yields (number, value) of one message: bytes, float or int by wire type; unknown numbers are the caller's to skip."""
    at, end = 0, len(data)
    while at < end:
        key, at = read_varint(data, at)
        kind = key & 7
        if kind == LENGTH:
            size, at = read_varint(data, at)
            yield key >> 3, data[at : at + size]
            at += size
        elif kind == VARINT:
            value, at = read_varint(data, at)
            yield key >> 3, value
        elif kind == FIXED64:
            yield key >> 3, struct.unpack_from("<d", data, at)[0]
            at += 8
        elif kind == FIXED32:
            at += 4
        else:
            raise ValueError("wire type %d is not of protobuf 3" % kind)


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put_bytes(number, value):
    return varint(number << 3 | LENGTH) + varint(len(value)) + value


def put_text(number, value):
    return put_bytes(number, value.encode("utf-8", "replace")) if value else b""


def put_double(number, value):
    return varint(number << 3 | FIXED64) + struct.pack("<d", value)


def put_int(number, value):
    return varint(number << 3 | VARINT) + varint(value & 0xFFFFFFFFFFFFFFFF)


class RunTask:
    __slots__ = (
        "task_id",
        "function_id",
        "payload",
        "payload_path",
        "sandbox",
        "environment",
        "result_serializers",
        "inline_limit",
    )

    def __init__(self, data):
        self.task_id = self.function_id = self.payload = b""
        self.payload_path = self.sandbox = ""
        self.environment = {}
        self.result_serializers = []
        self.inline_limit = 0.0
        for number, value in fields(data):
            if number == 1:
                self.task_id = value
            elif number == 2:
                self.function_id = value
            elif number == 3:
                self.payload = value
            elif number == 4:
                self.payload_path = value.decode()
            elif number == 5:
                self.sandbox = value.decode()
            elif number == 6:
                entry = dict(fields(value))
                self.environment[entry.get(1, b"").decode()] = entry.get(2, b"").decode()
            elif number == 7:
                self.result_serializers.append(value.decode())
            elif number == 8:
                self.inline_limit = value


# ---------------------------------------------------------------- buffers of the public interface


class Refusal(Exception):
    """Something the caller must be told, with a code of the fault table."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class SerializationMismatch(Refusal):
    """Reader and writer have different versions of Python."""


def unpack(text):
    buffers, at = [], 0
    while at < len(text):
        newline = text.index("\n", at)
        size = int(text[at:newline])
        buffers.append(text[newline + 1 : newline + 1 + size])
        at = newline + 1 + size
    return buffers


PEER_PACKAGES = ("dill", "globus-compute-sdk")


def installed_versions():
    """Of the packages that the public interface's clients compare with their own; read from directory names, for speed."""
    found = {}
    for directory in sys.path:
        try:
            names = os.listdir(directory or ".")
        except OSError:
            continue
        for name in names:
            if not name.endswith(".dist-info"):
                continue
            package, _, version = name[: -len(".dist-info")].partition("-")
            package = package.lower().replace("_", "-")
            if package in PEER_PACKAGES:
                found.setdefault(package, version)
    return found


def runtime_version():
    """As in "Python 3.11.7, dill 0.3.9, globus-compute-sdk 4.15.0"."""
    found = installed_versions()
    told = ["%s %s" % (package, found[package]) for package in PEER_PACKAGES if package in found]
    return ", ".join(["Python %s" % platform.python_version()] + told)


def missing_package(what, package="globus-compute-sdk"):
    return Refusal(
        "RUNTIME_MISSING",
        "%s, which needs the Python package %s in %s (Python %s) on %s, and it is not there. "
        "Install it for that interpreter (%s -m pip install %s), choose another interpreter with `python` in the "
        "endpoint's configuration, or send source and JSON (PureSourceTextInspect and JSONData)."
        % (
            what,
            package,
            sys.executable,
            platform.python_version(),
            socket.gethostname(),
            sys.executable,
            package,
        ),
    )


def peer_serializer():
    try:
        from globus_compute_sdk.serialize import ComputeSerializer
    except ImportError:
        return None
    return ComputeSerializer()


def load_dilled(buffer, what):
    """A buffer of a serialization other than source and JSON."""
    if buffer[:2] in ("00", "01"):
        try:
            import dill
        except ImportError:
            pass
        else:
            return undilled(lambda: dill.loads(base64.b64decode(buffer[3:])), what)
    serializer = peer_serializer()
    if serializer is None:
        raise missing_package("%s came as serialization %s" % (what, buffer[:2]))
    return undilled(lambda: serializer.deserialize(buffer), what)


def undilled(load, what):
    """What was written by reference to a module needs that module here: says which and where."""
    try:
        return load()
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module == "globus_compute_sdk":
            raise missing_package("%s came as an object of that package" % what) from None
        raise Refusal(
            "RUNTIME_MISSING",
            "%s came by reference to the module %s, which %s (%s) on %s does not have. Install it there, or send "
            "functions as source" % (what, module or error, sys.executable, runtime_version(), socket.gethostname()),
        ) from error


def decode_data(buffer):
    return json.loads(buffer[3:]) if buffer[:2] == "11" else load_dilled(buffer, "the arguments")


def not_read(code, why, writer):
    """What could not be read; when it was written by another version of Python, that is most likely why."""
    python, sdk = writer
    if not python or python.split(".")[:2] == platform.python_version().split(".")[:2]:
        return Refusal(code, why)
    wrote = "Python %s" % python + (", globus-compute-sdk %s" % sdk if sdk else "")
    return SerializationMismatch(
        code,
        "%s. It was written by %s and read by %s on %s: use the same minor version of Python on both sides, or send "
        "source and JSON (PureSourceTextInspect and JSONData)" % (why, wrote, runtime_version(), socket.gethostname()),
    )


def decode_call(text, writer):
    try:
        buffers = unpack(text)
        if len(buffers) != 2:
            raise ValueError("expected two buffers, found %d" % len(buffers))
        args, kwargs = decode_data(buffers[0]), decode_data(buffers[1])
    except Refusal:
        raise
    except Exception as error:
        raise not_read("ARGUMENTS_NOT_DECODED", "the arguments could not be read: %s" % error, writer) from error
    return args, kwargs, buffers[0][:2] == "11"


def json_obstacle(value, path="", above=()):
    """Where and why JSON cannot hold this value; None when it can."""
    if value is None or isinstance(value, (str, bool, int)):
        return None
    where = "the value at %s" % path if path else "the value"
    if isinstance(value, float):
        return None if math.isfinite(value) else "%s: the number %r has no JSON form" % (where, value)
    if id(value) in above:
        return "%s: it contains itself" % where
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            found = json_obstacle(item, "%s[%d]" % (path, index), above + (id(value),))
            if found:
                return found
        return None
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, (str, int, float, bool, type(None))):
                return "%s: a key of type %s has no JSON form" % (where, type(key).__name__)
            found = json_obstacle(item, "%s[%r]" % (path, key), above + (id(value),))
            if found:
                return found
        return None
    return "%s: an object of type %s has no JSON form" % (where, type_name(value))


def type_name(value):
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else "%s.%s" % (kind.__module__, kind.__qualname__)


def encode_json(value):
    try:
        return "11\n" + json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Refusal(
            "RESULT_NOT_SERIALIZABLE",
            "the result cannot be sent as JSON: %s; convert it in the function" % (json_obstacle(value) or error),
        ) from None


def encode_dill(value):
    try:
        import dill
    except ImportError:
        serializer = peer_serializer()
        if serializer is None:
            raise missing_package("the result was asked for as dill") from None
        return serializer.serialize(value)
    try:
        return "00\n" + base64.encodebytes(dill.dumps(value)).decode()
    except Exception as error:
        raise Refusal("RESULT_NOT_SERIALIZABLE", "dill cannot write a %s: %s" % (type_name(value), error)) from error


def encode_by_peer(path):
    def encode(value):
        serializer = peer_serializer()
        if serializer is None:
            raise missing_package("the result was asked for as %s" % path)
        return serializer.serialize_from_list(value, [path])

    return encode


def encode_result(value, wanted, json_call):
    """The result's buffer, by the first serializer of the caller's list that can; without a list, as the arguments came."""
    if not wanted:
        return encode_json(value) if json_call else encode_dill(value)
    refusals = []
    for path in wanted:
        name = path.rsplit(".", 1)[-1]
        encode = {"JSONData": encode_json, "DillDataBase64": encode_dill}.get(name) or encode_by_peer(path)
        try:
            return encode(value)
        except Refusal as refusal:
            refusals.append(refusal)
    if len(refusals) == 1:
        raise refusals[0]
    raise Refusal("RESULT_NOT_SERIALIZABLE", "; ".join(str(refusal) for refusal in refusals))


# ---------------------------------------------------------------- functions


def load_source(content):
    name, _, source = content.partition(":")
    number = 1 + sum(1 for module in sys.modules if module.startswith("errand_function_"))
    module = types.ModuleType("errand_function_%d" % number)
    filename = "errand:%s" % name
    if filename in linecache.cache:
        filename = "errand:%s?%d" % (name, number)
    module.__file__ = filename
    # An entry without a modification time is never dropped: tracebacks show the source although there is no file.
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
    sys.modules[module.__name__] = module
    exec(compile(source, filename, "exec"), module.__dict__)
    if not callable(module.__dict__.get(name)):
        raise Refusal("FUNCTION_NOT_LOADED", "the source binds no callable named %s" % name)
    return module.__dict__[name]


def load_function(code):
    buffer = unpack(code.decode("utf-8"))[0]
    if buffer[:2] in ("st", "sd"):
        return load_source(buffer[3:])
    return load_dilled(buffer, "the function")


def failure(code, error):
    """The user's frames with their source lines; ours are left out."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == FILE:
        frames = frames.tb_next
    if isinstance(error, Refusal) and error.__cause__ is None:
        stack = ""
    else:
        stack = "".join(traceback.format_exception(type(error), error, frames))
    exit_code = 0
    message = str(error)
    if isinstance(error, SystemExit):
        status = error.code
        exit_code = status if isinstance(status, int) else 0 if status is None else 1
        message = "the function called sys.exit(%s)" % ("" if status is None else repr(status))
    return (
        put_text(1, code)
        + put_text(2, type(error).__name__)
        + put_text(3, message or type(error).__name__)
        + put_text(4, stack)
        + (put_int(5, exit_code) if exit_code else b"")
    )


def code_of(error, default):
    if isinstance(error, Refusal):
        return error.code
    return "OUT_OF_MEMORY" if isinstance(error, MemoryError) else default


# ---------------------------------------------------------------- what a task may leave behind

started_processes = False
PROCESS_EVENTS = frozenset(
    ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "os.exec", "pty.spawn")
)


def on_audit(event, _arguments):
    global started_processes
    if event in PROCESS_EVENTS:
        started_processes = True


marker = b"%s=%s\0" % (MARKER.encode(), os.environ.get(MARKER, "").encode())


def is_child(pid):
    with open("/proc/%s/stat" % pid, "rb") as stat:
        state, parent = stat.read().rpartition(b") ")[2].split()[:2]
    return int(parent) == os.getpid() and state not in (b"Z", b"X")


def kill_strays():
    """Ends every process that descends from this worker, wherever it went: they inherit the marker."""
    for _ in range(10):
        found = 0
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == os.getpid():
                continue
            try:
                with open("/proc/%s/environ" % name, "rb") as environ:
                    variables = environ.read()
                # Between its fork and the end of its exec a process shows no environment: its parent tells then.
                if marker not in variables and (variables or not is_child(name)):
                    continue
                os.kill(int(name), signal.SIGKILL)
                found += 1
            except OSError:
                continue
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except OSError:
            pass
        if not found:
            return


# Where tasks run that have no sandbox.
START_DIRECTORY = os.getcwd()


def enter_sandbox(directory):
    try:
        if os.getcwd() == (directory or START_DIRECTORY):
            return
    except OSError:
        pass  # the working directory was removed
    directory = directory or START_DIRECTORY
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.chdir(directory)


def leave_sandbox(directory, task_id, keep):
    try:
        if not directory or not os.listdir(directory):
            return
    except OSError:
        os.chdir("/")
        return
    os.chdir("/")
    if keep:
        os.rename(directory, os.path.join(os.path.dirname(directory), task_id))
    else:
        shutil.rmtree(directory, ignore_errors=True)


# ---------------------------------------------------------------- the worker


class Worker:
    def __init__(self, channel):
        self.channel = channel
        self.pid = os.getpid()
        self.functions = {}
        # Of each function: the versions of Python and of the public interface's package that wrote it.
        self.writers = {}
        self.task = None
        self.spill_directory = os.environ.get("ERRAND_SPILL_DIRECTORY", ".")
        self.keep_sandboxes = os.environ.get("ERRAND_KEEP_SANDBOXES") == "1"

    def send(self, reply):
        self.channel.sendall(struct.pack("<I", len(reply)) + reply)

    def serve(self):
        self.send(put_bytes(1, put_int(1, RUNTIME_PYTHON) + put_text(2, runtime_version()) + put_int(3, self.pid)))
        pending = b""
        while True:
            chunk = self.channel.recv(262144)
            if not chunk:
                os._exit(0)  # the manager is gone, and so is whoever wanted the result
            pending = pending + chunk if pending else chunk
            at = 0
            while len(pending) - at >= 4:
                (size,) = struct.unpack_from("<I", pending, at)
                if len(pending) - at - 4 < size:
                    break
                self.handle(pending[at + 4 : at + 4 + size])
                at += 4 + size
            pending = pending[at:]

    def handle(self, message):
        for number, value in fields(message):
            if number == 1:
                self.run(RunTask(value))
            elif number == 2:
                function = dict(fields(dict(fields(value))[1]))
                self.load(function)

    def load(self, definition):
        key, code = definition.get(1, b""), definition.get(3, b"")
        self.writers[key] = definition.get(5, b"").decode(), definition.get(6, b"").decode()
        try:
            self.functions[key] = (load_function(code), None)
        except BaseException as error:  # the code decides what it raises; the worker goes on
            self.functions[key] = (None, error)

    def run(self, task):
        global started_processes
        started_processes = False
        self.task = task
        started_us = time.time() * 1e6
        task.environment.update(peer_environment(task))
        before = {name: os.environ.get(name) for name in task.environment}
        os.environ.update(task.environment)
        failed = True
        try:
            pin_to(task.environment.get("ERRAND_CPUS"))
            enter_sandbox(task.sandbox)
            outcome = self.call(task)
            failed = False
        except BaseException as error:  # also SystemExit and KeyboardInterrupt: they end the task, not the worker
            outcome = put_bytes(4, failure(code_of(error, "FUNCTION_FAILED"), error))
        if os.getpid() != self.pid:
            os._exit(0)  # a fork of the function came back here; only the original answers
        flush_output()
        if started_processes:
            kill_strays()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        try:
            leave_sandbox(task.sandbox, environment_id(task), failed or self.keep_sandboxes)
        except OSError as error:
            sys.stderr.write("errand: the task's sandbox could not be cleared: %s\n" % error)
        self.task = None
        self.send(
            put_bytes(
                3,
                put_bytes(1, task.task_id)
                + outcome
                + put_double(5, started_us)
                + put_double(6, time.time() * 1e6)
                + put_double(7, os.fstat(1).st_size)
                + put_double(8, os.fstat(2).st_size),
            )
        )

    def call(self, task):
        function, refusal = self.functions.get(task.function_id, (None, None))
        if function is None:
            if refusal is None:
                raise Refusal("FUNCTION_NOT_LOADED", "the manager did not send this task's function")
            if isinstance(refusal, Refusal):
                raise refusal
            why = "the function could not be loaded: %s: %s" % (type(refusal).__name__, refusal)
            raise not_read("FUNCTION_NOT_LOADED", why, self.writers[task.function_id]) from refusal
        if task.payload_path:
            with open(task.payload_path, encoding="utf-8", newline="") as file:
                text = file.read()
        else:
            text = task.payload.decode("utf-8")
        args, kwargs, json_call = decode_call(text, self.writers[task.function_id])
        value = function(*args, **kwargs)
        if isinstance(value, types.CoroutineType):
            import asyncio

            value = asyncio.run(value)
        buffer = encode_result(value, task.result_serializers, json_call).encode("utf-8", "surrogatepass")
        if len(buffer) <= task.inline_limit:
            return put_bytes(2, buffer)
        path = os.path.join(self.spill_directory, "%s.result" % environment_id(task))
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(buffer)
        except OSError as error:
            raise Refusal(
                "RESULT_TOO_LARGE", "the result of %d bytes could not be written: %s" % (len(buffer), error)
            ) from error
        return put_text(3, path)

    def progress(self, fraction, message=""):
        """Tells how far the task is: 0 to 1, and a word about it."""
        if self.task is None or os.getpid() != self.pid:
            return
        fraction = min(1.0, max(0.0, float(fraction)))
        body = put_double(1, fraction) + put_text(2, str(message))
        self.send(put_bytes(4, put_bytes(1, self.task.task_id) + put_bytes(2, body)))


pinned_to = None


def pin_to(cpus):
    """Keeps all threads of this process, and what it starts from now on, on some processors ("0-3,8"); None changes nothing."""
    global pinned_to
    if cpus is None or cpus == pinned_to:
        return
    pinned_to = cpus
    parts = [part.split("-") for part in cpus.split(",")]
    numbers = {number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)}
    try:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setaffinity(int(thread), numbers)
    except OSError as error:
        sys.stderr.write("errand: this worker is on no processors of its own: %s\n" % error)


def environment_id(task):
    return task.environment.get("ERRAND_TASK_ID", "")


def peer_environment(task):
    """By these the public interface's shell functions know their task and that its directory is its own."""
    told = {"GC_TASK_UUID": environment_id(task)}
    if task.sandbox:
        told["GC_TASK_SANDBOX_DIR"] = task.sandbox
    return told


def flush_output():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # the function closed or replaced it


def offer_task_interface(worker):
    """What a running function imports as `errand`."""
    module = types.ModuleType("errand", "The task that runs here.")
    module.progress = worker.progress
    module.task_id = lambda: environment_id(worker.task) if worker.task else ""
    module.sandbox_directory = lambda: worker.task.sandbox if worker.task else ""
    sys.modules["errand"] = module


def main():
    # Modules beside the endpoint's configuration can be imported, after everything that is installed.
    sys.path[0:1] = []
    sys.path.append(os.environ.get("ERRAND_MODULE_ROOT") or os.getcwd())
    sys.stdout.reconfigure(line_buffering=True)
    sys.stderr.reconfigure(line_buffering=True)
    os.set_inheritable(3, False)
    sys.addaudithook(on_audit)
    worker = Worker(socket.socket(fileno=3))
    offer_task_interface(worker)
    worker.serve()


main()
