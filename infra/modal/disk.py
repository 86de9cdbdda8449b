"""What a sandbox holds on disk: looked at while a command runs, and after one that wrote much.

A part of one program with runner.py. Counted by du, as for sandboxes on the worker's host: blocks, hard links
once, paths of any length.
"""
import ctypes
import json
import os
import signal
import time

LOOK_SECONDS = 0.5
# A measurement may take this share of a processor.
SHARE = 0.1
# What a command may add in a sandbox that is over already, so that deleting works.
ROOM_MB = 16
ROOM_FILES = 1000
# After a command: so much less space, and it is counted again.
LOST_MB = 64
LOST_FILES = 10000
SET_PDEATHSIG = 1


def count(folders, unit):
    """Of the folders that are there, together; None when du did not say."""
    # Costs more than all the rest of this program, and most commands never look.
    import subprocess

    said = subprocess.run(
        ["du", "-s", "-c", "-x", unit, "--"] + [path for path in folders if os.path.isdir(path)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
    ).stdout.split(b"\n")
    # Files that go meanwhile make it fail, with the sum of the others.
    total = [line.split(b"\t")[0] for line in said if line.endswith(b"\ttotal")]
    return int(total[-1]) if total else None


def measure(disk):
    blocks = count(disk["folders"], "--block-size=1024")
    files = count(disk["folders"], "--inodes")
    if blocks is None or files is None:
        return None
    usage = {"mb": blocks / 1024, "files": files}
    # Whoever is killed half-way leaves the former one.
    making = "%s.%d" % (disk["known"], os.getpid())
    with open(making, "w") as file:
        json.dump(usage, file)
    os.rename(making, disk["known"])
    return usage


def known(disk):
    """As last measured; a sandbox that was just made holds nothing."""
    try:
        with open(disk["known"]) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {"mb": 0, "files": 0}


def is_over(disk, usage, before=None):
    mb = disk["mb"] if before is None else max(disk["mb"], before["mb"] + ROOM_MB)
    files = disk["files"] if before is None else max(disk["files"], before["files"] + ROOM_FILES)
    return usage["mb"] > mb or usage["files"] > files


def free(disk):
    """By folder, as the file system tells it: good enough to see that something was written, or nothing."""
    found = []
    for path in disk["folders"]:
        try:
            stat = os.statvfs(path)
            found.append((stat.f_bavail * stat.f_frsize / 1048576, stat.f_ffree))
        except OSError:
            found.append((0, 0))
    return found


def start_watch(disk):
    """A process that looks until it is killed, and what it says when the sandbox is over: (pid, fd)."""
    fd, end = os.pipe()
    pid = os.fork()
    if pid != 0:
        os.close(end)
        os.set_blocking(fd, False)
        return pid, fd
    try:
        ctypes.CDLL(None).prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(end, 0)
        os.closerange(1, 4096)
        for _ in (1, 2):
            os.open("/dev/null", os.O_RDWR)
        watch(disk)
    finally:
        os._exit(0)


def watch(disk):
    before = known(disk)
    pause = LOOK_SECONDS
    while True:
        time.sleep(pause)
        began = time.monotonic()
        usage = measure(disk)
        if usage is not None and is_over(disk, usage, before):
            os.write(0, json.dumps(usage).encode())
            return
        pause = max(LOOK_SECONDS, (time.monotonic() - began) / SHARE)


def look_after(disk, before):
    """What a sandbox holds too much of after a command; None where it does not. @before: free() at its start."""
    lost = any(
        was[0] - now[0] > LOST_MB or was[1] - now[1] > LOST_FILES for was, now in zip(before, free(disk))
    )
    if not lost and not is_over(disk, known(disk)):
        return None
    usage = measure(disk)
    return usage if usage is not None and is_over(disk, usage) else None


def drop_oldest(folder, room):
    """Whole outputs are kept up to so many bytes; the oldest go."""
    kept = [(os.lstat(path).st_mtime, os.lstat(path).st_size, path) for path in
            (os.path.join(folder, name) for name in os.listdir(folder))]
    for _, size, path in sorted(kept, reverse=True):
        room -= size
        if room < 0:
            os.unlink(path)
