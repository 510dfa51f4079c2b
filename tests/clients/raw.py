"""A client that speaks ZooKeeper's protocol byte by byte, for what kazoo has no word for."""

import socket
import struct

DEADLINE_S = 30

CREATE, EXISTS, GET, SET, MULTI, CLOSE = 1, 3, 4, 5, 14, -11
EPHEMERAL = 1
EVENT = -1
OPEN_ACL = struct.pack(">ii", 1, 31) + b"".join(
    struct.pack(">i", len(text)) + text for text in (b"world", b"anyone")
)


def text(value):
    return struct.pack(">i", len(value)) + value


def creation(path, flags=0):
    return text(path) + text(b"") + OPEN_ACL + struct.pack(">i", flags)


def several(*creations):
    """A multi of creations."""
    parts = b"".join(struct.pack(">i?i", CREATE, False, -1) + each for each in creations)
    return parts + struct.pack(">i?i", -1, True, -1)


class Raw:
    """One connection, and its session."""

    def __init__(self, port, session=0, password=bytes(16), timeout_ms=4000):
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)
        self.xid = 0
        self.events = []
        first = struct.pack(">iqiq", 0, 0, timeout_ms, session) + text(password) + b"\0"
        self.send(first)
        answer = self.receive()
        if answer is None:
            self.timeout_ms, self.session, self.password = 0, 0, b""
            return
        _, self.timeout_ms, self.session, length = struct.unpack(">iiqi", answer[:20])
        self.password = answer[20 : 20 + length]

    @property
    def is_served(self):
        """Is it in a session?"""
        return self.timeout_ms > 0

    def send(self, frame):
        self.stream.sendall(struct.pack(">i", len(frame)) + frame)

    def receive(self):
        """The next frame; `None` at the end."""
        length = self.exactly(4)
        return None if length is None else self.exactly(struct.unpack(">i", length)[0])

    def exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                piece = self.stream.recv(count - len(data))
            except ConnectionResetError:
                return None
            if not piece:
                return None
            data += piece
        return data

    def ask(self, opcode, body=b""):
        """The error's number, and the answer's body; events that come before are kept."""
        self.xid += 1
        self.send(struct.pack(">ii", self.xid, opcode) + body)
        while True:
            xid, _, error, body = self.message()
            if xid == self.xid:
                return error, body

    def message(self):
        frame = self.receive()
        assert frame is not None, "the server closed the connection"
        xid, zxid, error = struct.unpack(">iqi", frame[:16])
        if xid == EVENT:
            kind, _, length = struct.unpack(">iii", frame[16:28])
            self.events.append((kind, frame[28 : 28 + length]))
        return xid, zxid, error, frame[16:]

    def is_open(self):
        """Does the server still answer?"""
        try:
            return self.ask(EXISTS, text(b"/") + b"\0")[0] == 0
        except (AssertionError, OSError):
            return False

    def await_event(self):
        """The next event, if none has come yet."""
        while not self.events:
            self.message()
        return self.events.pop(0)

    def vanish(self):
        """Breaks the connection without a word."""
        self.stream.close()

    def close(self):
        """Ends the session."""
        error, _ = self.ask(CLOSE)
        self.stream.close()
        return error


def owner(stat):
    """Whose a znode is, by its stat."""
    return struct.unpack(">q", stat[44:52])[0]
