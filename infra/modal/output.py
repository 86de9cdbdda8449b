"""What a command says: its head as frames for the worker, its tail, the whole in a file where it is cut.

A part of one program with runner.py.
"""
import os

CHUNK = 1 << 16


def frame(kind, data):
    return kind + len(data).to_bytes(4, "big") + data


def write_all(data):
    os.set_blocking(1, True)
    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]


class Output:
    """Of the command's standard output."""

    def __init__(self, spec):
        self.spec = spec
        self.total = 0
        self.head_left = spec["headBytes"]
        self.kept = bytearray()
        self.whole = bytearray()
        self.file = None
        self.cut = False
        # Frames on their way to the worker.
        self.outgoing = bytearray()

    def take(self, data):
        """False when it is more than the command may say."""
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
        return self.total <= spec["maxBytes"]

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

    def close(self):
        if self.file is not None:
            os.close(self.file)
            drop_oldest(os.path.dirname(self.spec["outputFile"]), self.spec["outputsBytes"])

    def last_frame(self):
        tail = bytes(self.kept)
        if self.cut:
            tail = tail[len(tail) - self.spec["tailBytes"]:]
        return frame(b"T" if self.cut else b"H", tail)
