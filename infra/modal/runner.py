"""Runs one command inside a sandbox for a worker that is elsewhere.

The second part of one program with disk.py. Started as root with nothing but this text as its argument, so that there is no file an agent could change. Standard
input: one line of JSON (see runner.ts), the command's own input (`stdin` bytes of it), then one byte per sign of
life of the worker, or "a" to abort. Standard output: frames, each a letter, four bytes of length (big endian) and
data: H, the head of the command's output as it comes; T, its tail, where something between was cut; E, the end, as
JSON. Nothing of the command's is left when E is written: this process is the subreaper of all that the command
starts, and waits until it has no child any more.
"""
import base64
import errno
import resource
import selectors
import sys

SET_CHILD_SUBREAPER = 36
SET_NO_NEW_PRIVS = 38
CHUNK = 1 << 16
# More than this on its way to the worker, and the command has to wait.
BACKLOG = 8 << 20
KILL_SECONDS = 30
MARK = "agentswarm-runner"


def frame(kind, data):
    return kind + len(data).to_bytes(4, "big") + data


def write_all(data):
    os.set_blocking(1, True)
    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]


def children():
    """Parent by process, of all that runs."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/" + name + "/stat", "rb") as file:
                    stat = file.read()
                parents[int(name)] = int(stat[stat.rindex(b")") + 2:].split()[1])
            except (OSError, ValueError):
                pass
    return parents


def descendants():
    parents = children()
    found = {os.getpid()}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found and pid not in found}
        grown = bool(more)
        found |= more
    return found - {os.getpid()}


def send_signal(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def end_strangers(folder, worker):
    """What a worker that died has left running ends: its commands must not meet those of the next one."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        try:
            with open(path) as file:
                owner = file.read()
            if owner == worker:
                continue
            with open("/proc/" + name + "/cmdline", "rb") as file:
                ours = MARK.encode() in file.read()
        except OSError:
            ours = False
            owner = None
        if ours:
            send_signal([int(name)], signal.SIGTERM)
            for _ in range(500):
                if not os.path.exists(path):
                    break
                time.sleep(0.01)
        elif owner is not None:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass


class Run:
    def __init__(self, spec, rest):
        self.spec = spec
        self.reason = None
        self.status = None
        self.failure = None
        self.total = 0
        self.head_left = spec["headBytes"]
        self.kept = bytearray()
        self.whole = bytearray()
        self.file = None
        self.cut = False
        self.stderr = bytearray()
        self.outgoing = bytearray()
        self.input = bytearray()
        self.input_left = spec["stdin"] or 0
        self.heard = time.monotonic()
        self.deadline = self.heard + spec["timeoutMs"] / 1000
        self.disk = spec["disk"]
        self.free = None if self.disk is None else free(self.disk)
        self.watcher = None
        self.held = None
        self.selector = selectors.PollSelector()
        self.start()
        self.received(rest)

    def start(self):
        spec = self.spec
        self.out, out_end = os.pipe()
        err_end = out_end
        self.err = None
        if not spec["combine"]:
            self.err, err_end = os.pipe()
        self.stdin = None
        in_end = os.open("/dev/null", os.O_RDONLY)
        if spec["stdin"] is not None:
            os.close(in_end)
            in_end, self.stdin = os.pipe()
        failed, fail_end = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            try:
                self.become(in_end, out_end, err_end)
            except OSError as error:
                os.write(fail_end, json.dumps([error.errno, str(error)]).encode())
            except (ValueError, TypeError) as error:
                os.write(fail_end, json.dumps([errno.EINVAL, repr(error)]).encode())
            finally:
                os._exit(127)
        for fd in {in_end, out_end, err_end, fail_end}:
            os.close(fd)
        said = b""
        while True:
            part = os.read(failed, CHUNK)
            if not part:
                break
            said += part
        os.close(failed)
        if said:
            number, text = json.loads(said)
            self.failure = {"code": errno.errorcode.get(number, "ESPAWN"), "message": text}
        for fd in (self.out, self.err):
            if fd is not None:
                os.set_blocking(fd, False)
                self.selector.register(fd, selectors.EVENT_READ)
        if self.stdin is not None:
            os.set_blocking(self.stdin, False)
        os.set_blocking(0, False)
        os.set_blocking(1, False)
        self.selector.register(0, selectors.EVENT_READ)

    def become(self, stdin, stdout, stderr):
        spec = self.spec
        limits = spec["limits"]
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for fd, source in ((0, stdin), (1, stdout), (2, stderr)):
            os.dup2(source, fd)
        os.umask(0o022)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for name, value in (
            (resource.RLIMIT_FSIZE, limits["fileSizeMb"] << 20),
            (resource.RLIMIT_CPU, limits["cpuSeconds"]),
            (resource.RLIMIT_NPROC, limits["processes"]),
            (resource.RLIMIT_NOFILE, limits["openFiles"]),
        ):
            # At the hard limit of CPU time the kernel kills without the signal that says why.
            resource.setrlimit(name, (value, value + 1 if name == resource.RLIMIT_CPU else value))
        if spec["uid"] != 0:
            os.setgroups(spec["groups"])
            os.setgid(spec["gid"])
            os.setuid(spec["uid"])
        prctl(SET_NO_NEW_PRIVS)
        os.chdir(spec["cwd"])
        os.execvpe(spec["argv"][0], spec["argv"], {**image_environment(), **spec["env"]})

    def end(self, reason):
        if self.reason is None:
            self.reason = reason

    def received(self, data):
        """Bytes of the worker's: first the command's input, then signs of life."""
        if data:
            self.heard = time.monotonic()
        own = data[: self.input_left]
        if own and self.stdin is not None:
            self.input += own
        self.input_left -= len(own)
        if b"a" in data[len(own):]:
            self.end("aborted")
        self.feed()

    def feed(self):
        if self.stdin is None:
            return
        try:
            while self.input:
                del self.input[: os.write(self.stdin, memoryview(bytes(self.input[: CHUNK])))]
        except BlockingIOError:
            if self.stdin not in self.selector.get_map():
                self.selector.register(self.stdin, selectors.EVENT_WRITE)
            return
        except BrokenPipeError:
            # A command that ends before it has read all of its input is no failure.
            self.input.clear()
            self.close_stdin()
            return
        if self.stdin in self.selector.get_map():
            self.selector.unregister(self.stdin)
        if self.input_left == 0:
            self.close_stdin()

    def close_stdin(self):
        if self.stdin in self.selector.get_map():
            self.selector.unregister(self.stdin)
        os.close(self.stdin)
        self.stdin = None

    def output(self, data):
        spec = self.spec
        self.total += len(data)
        if spec["outputFile"] is not None:
            self.keep_whole(data)
        head = data[: self.head_left]
        if head:
            self.head_left -= len(head)
            self.outgoing += frame(b"H", head)
        self.kept += data[len(head):]
        if len(self.kept) > spec["tailBytes"]:
            self.cut = True
        if len(self.kept) > spec["tailBytes"] + CHUNK:
            del self.kept[: len(self.kept) - spec["tailBytes"]]
        if self.total > spec["maxBytes"]:
            self.end("output-limit")

    def keep_whole(self, data):
        if self.file is None:
            self.whole += data
            if self.total <= self.spec["headBytes"] + self.spec["tailBytes"]:
                return
            self.file = os.open(self.spec["outputFile"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            data, self.whole = bytes(self.whole), bytearray()
        view = memoryview(data)
        while view:
            view = view[os.write(self.file, view):]

    def read(self, fd):
        """False at its end."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        if fd == self.out:
            self.output(data)
        else:
            self.stderr += data
            del self.stderr[: -self.spec["stderrBytes"]]
        return True

    def close_output(self, fd):
        if fd in self.selector.get_map():
            self.selector.unregister(fd)
        os.close(fd)
        if fd == self.out:
            self.out = None
        else:
            self.err = None

    def wanted(self, fd, wanted, events):
        there = fd in self.selector.get_map()
        if wanted and not there:
            self.selector.register(fd, events)
        elif there and not wanted:
            self.selector.unregister(fd)

    def reap(self):
        """False when there is no child any more."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.child:
                self.status = status
                self.end("exit")
            elif pid == self.watcher:
                self.watcher = None

    def loop(self):
        wake, wake_end = os.pipe()
        for fd in (wake, wake_end):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.end("aborted"))
        self.selector.register(wake, selectors.EVENT_READ)
        silence = self.spec["silenceMs"] / 1000
        looks = None
        if self.disk is not None:
            self.watcher, looks = start_watch(self.disk)
            self.selector.register(looks, selectors.EVENT_READ)
        self.reap()
        while self.reason is None:
            now = time.monotonic()
            if now >= self.deadline:
                self.end("timeout")
                break
            if now - self.heard >= silence:
                self.end("aborted")
                break
            self.wanted(1, bool(self.outgoing), selectors.EVENT_WRITE)
            if self.out is not None:
                self.wanted(self.out, len(self.outgoing) < BACKLOG, selectors.EVENT_READ)
            pause = min(self.deadline, self.heard + silence) - now
            for key, _ in self.selector.select(max(0.0, pause) + 0.001):
                if key.fd == looks:
                    self.looked(looks)
                else:
                    self.ready(key.fd, wake)
            self.reap()

    def ready(self, fd, wake):
        if fd == wake:
            os.read(wake, CHUNK)
        elif fd == 0:
            data = os.read(0, CHUNK)
            if data:
                self.received(data)
            else:
                self.selector.unregister(0)
        elif fd == 1:
            self.send()
        elif fd == self.stdin:
            self.feed()
        elif fd in (self.out, self.err) and not self.read(fd):
            self.close_output(fd)

    def looked(self, looks):
        """The sandbox holds too much, or nobody looks any more."""
        said = os.read(looks, CHUNK)
        self.selector.unregister(looks)
        if said:
            self.held = json.loads(said)
            self.end("aborted")

    def send(self):
        try:
            del self.outgoing[: os.write(1, memoryview(bytes(self.outgoing[: 4 * CHUNK])))]
        except BlockingIOError:
            pass

    def kill_all(self):
        until = time.monotonic() + KILL_SECONDS
        tries = 0
        while self.reap():
            tries += 1
            send_signal(descendants(), signal.SIGKILL)
            if tries % 50 == 0 and self.spec["uid"] != 0:
                # What forks faster than it can be listed: all of its user at once.
                if os.fork() == 0:
                    os.setuid(self.spec["uid"])
                    send_signal([-1], signal.SIGKILL)
                    os._exit(0)
            if time.monotonic() > until:
                raise RuntimeError("processes of the command could not be killed within %d s" % KILL_SECONDS)
            time.sleep(0.002)

    def finish(self):
        if self.watcher is not None:
            send_signal([self.watcher], signal.SIGKILL)
        self.kill_all()
        for fd in (self.out, self.err):
            # Nobody has their other end any more.
            while fd is not None and self.read(fd):
                pass
        if self.file is not None:
            os.close(self.file)
            drop_oldest(os.path.dirname(self.spec["outputFile"]), self.spec["outputsBytes"])
        stopped = self.held is not None
        if self.disk is not None and not stopped:
            self.held = look_after(self.disk, self.free)
        tail = bytes(self.kept)
        if self.cut:
            tail = tail[len(tail) - self.spec["tailBytes"]:]
        code = 137 if self.status is None else os.waitstatus_to_exitcode(self.status)
        end = {
            "reason": self.reason,
            "exitCode": code if code >= 0 else 128 - code,
            "bytes": self.total,
            "truncated": self.cut,
            "stderr": base64.b64encode(bytes(self.stderr)).decode(),
        }
        if self.failure is not None:
            end["failure"] = self.failure
        if self.held is not None:
            end["held"] = {**self.held, "stopped": stopped}
        write_all(bytes(self.outgoing) + frame(b"T" if self.cut else b"H", tail) + frame(b"E", json.dumps(end).encode()))


def image_environment():
    """What the image sets (PATH, JAVA_HOME and the like), without what Modal adds, and Python for itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MODAL_", "TASK_", "LC_CTYPE"))}


def prctl(option):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(%d)" % option)


def main():
    rest = b""
    while b"\n" not in rest:
        part = os.read(0, CHUNK)
        if not part:
            raise SystemExit("the worker sent no command")
        rest += part
    line, rest = rest.split(b"\n", 1)
    spec = json.loads(line)
    prctl(SET_CHILD_SUBREAPER)
    entry = None
    if spec["registry"] is not None:
        end_strangers(spec["registry"], spec["worker"])
        entry = os.path.join(spec["registry"], str(os.getpid()))
        with open(entry, "w") as file:
            file.write(spec["worker"])
    try:
        run = Run(spec, rest)
        run.loop()
        run.finish()
    except OSError as error:
        # The sandbox's own disk is full, or the like: whatever the command said would be a lie.
        send_signal(descendants(), signal.SIGKILL)
        failure = {"code": errno.errorcode.get(error.errno, "EIO"), "message": str(error)}
        end = {"reason": "exit", "exitCode": 126, "bytes": 0, "truncated": False, "stderr": "", "fatal": failure}
        write_all(frame(b"E", json.dumps(end).encode()))
    finally:
        if entry is not None:
            os.unlink(entry)


main()
sys.exit(0)
