"""Starts a command: as whom, with which limits, in a session of its own.

A part of one program with runner.py.
"""
import ctypes
import errno
import json
import os
import resource
import signal

SET_NO_NEW_PRIVS = 38


def start_command(spec, stdin, stdout, stderr):
    """Its process, and why it could not be started or None. Takes the three ends over."""
    failed, fail_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            become(spec, stdin, stdout, stderr)
        except OSError as error:
            os.write(fail_end, json.dumps([error.errno, str(error)]).encode())
        except (ValueError, TypeError) as error:
            os.write(fail_end, json.dumps([errno.EINVAL, repr(error)]).encode())
        finally:
            os._exit(127)
    for fd in {stdin, stdout, stderr, fail_end}:
        os.close(fd)
    said = b""
    while True:
        part = os.read(failed, CHUNK)
        if not part:
            break
        said += part
    os.close(failed)
    if not said:
        return child, None
    number, text = json.loads(said)
    return child, {"code": errno.errorcode.get(number, "ESPAWN"), "message": text}


def become(spec, stdin, stdout, stderr):
    """The command itself, in the process that was forked for it. Returns only by an error."""
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


def image_environment():
    """What the image sets (PATH, JAVA_HOME and the like), without what Modal adds, and Python for itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MODAL_", "TASK_", "LC_CTYPE"))}


def prctl(option):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(%d)" % option)
