"""Runs one command inside a sandbox for a worker that is elsewhere.

The last part of one program with processes.py, disk.py, output.py and child.py. Started as root with nothing but that
text as its argument, so that there is no file an agent could change. Standard input: one line of JSON (see runner.ts),
the command's own input (`stdin` bytes of it), then one byte per sign of life of the worker, or "a" to abort. Standard
output: frames, each a letter, four bytes of length (big endian) and data: H, the head of the command's output as it
comes; T, its tail, where something between was cut; E, the end, as JSON. Nothing of the command's is left when E is
written: this process is the subreaper of all that the command starts, and waits until it has no child any more.
"""
import base64
import errno
import json
import os
import selectors
import signal
import sys
import time

SET_CHILD_SUBREAPER = 36
# More than this on its way to the worker, and the command has to wait.
BACKLOG = 8 << 20
KILL_SECONDS = 30


class Run:
    def __init__(self, spec, rest):
        self.spec = spec
        self.reason = None
        self.status = None
        self.output = Output(spec)
        self.stderr = bytearray()
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
        self.child, self.failure = start_command(spec, in_end, out_end, err_end)
        for fd in (self.out, self.err):
            if fd is not None:
                os.set_blocking(fd, False)
                self.selector.register(fd, selectors.EVENT_READ)
        if self.stdin is not None:
            os.set_blocking(self.stdin, False)
        os.set_blocking(0, False)
        os.set_blocking(1, False)
        self.selector.register(0, selectors.EVENT_READ)

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

    def read(self, fd):
        """False at its end."""
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        if fd == self.out:
            if not self.output.take(data):
                self.end("output-limit")
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
            self.wanted(1, bool(self.output.outgoing), selectors.EVENT_WRITE)
            if self.out is not None:
                self.wanted(self.out, len(self.output.outgoing) < BACKLOG, selectors.EVENT_READ)
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
            del self.output.outgoing[: os.write(1, memoryview(bytes(self.output.outgoing[: 4 * CHUNK])))]
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
        self.output.close()
        stopped = self.held is not None
        if self.disk is not None and not stopped:
            self.held = look_after(self.disk, self.free)
        code = 137 if self.status is None else os.waitstatus_to_exitcode(self.status)
        end = {
            "reason": self.reason,
            "exitCode": code if code >= 0 else 128 - code,
            "bytes": self.output.total,
            "truncated": self.output.cut,
            "stderr": base64.b64encode(bytes(self.stderr)).decode(),
        }
        if self.failure is not None:
            end["failure"] = self.failure
        if self.held is not None:
            end["held"] = {**self.held, "stopped": stopped}
        last = self.output.last_frame() + frame(b"E", json.dumps(end).encode())
        write_all(bytes(self.output.outgoing) + last)


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
