"""The processes of one command, found and ended: all that it has started, and what a dead worker has left.

A part of one program with runner.py.
"""
import os
import signal
import time

MARK = "agentswarm-runner"


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
