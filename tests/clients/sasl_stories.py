"""SASL with DIGEST-MD5 as kazoo and ZooKeeper's own Java client speak it, against the real binary."""

import logging
import os
import subprocess
import sys
import tempfile

from kazoo.client import KazooClient
from kazoo.exceptions import AuthFailedError, ConnectionLoss, NoAuthError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import make_acl

from server import Server

DEADLINE_S = 30

USERS = """\
Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_bob="bobsecret"
    user_alice="alice's secret";
};
"""

CLIENT = """\
Client {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    username="%s"
    password="%s";
};
"""


def client(server, user=None, password=None):
    options = {}
    if user:
        options = {"mechanism": "DIGEST-MD5", "username": user, "password": password}
    made = KazooClient(hosts=server.address, timeout=6, sasl_options=options or None)
    made.start(timeout=DEADLINE_S)
    return made


def kazoo(server):
    bob = client(server, "bob", "bobsecret")
    bob.create("/bobs", b"secret", acl=[make_acl("sasl", "bob", all=True)])
    assert bob.get("/bobs")[0] == b"secret"
    # auth in a list becomes who is asking.
    bob.create("/by-auth", b"", acl=[make_acl("auth", "", all=True)])
    (acl, _) = bob.get_acls("/by-auth")
    assert [(entry.id.scheme, entry.id.id) for entry in acl] == [("sasl", "bob")], acl
    alice = client(server, "alice", "alice's secret")
    for call in (lambda: alice.get("/bobs"), lambda: alice.set("/bobs", b"")):
        try:
            call()
        except NoAuthError:
            continue
        raise AssertionError("alice does what only bob may")
    for user, password in (("bob", "wrong"), ("eve", "bobsecret")):
        try:
            # kazoo tells of it with the first request.
            client(server, user, password).get_async("/").get(timeout=DEADLINE_S)
        except (AuthFailedError, ConnectionLoss, KazooTimeoutError):
            # Where sasl is enforced the error is one that kazoo does not know.
            continue
        raise AssertionError(f"{user} gets in")
    alice.stop()
    bob.stop()


def anonymous(server):
    """Who does not authenticate is refused where authentication is enforced."""
    try:
        client(server).get_async("/").get(timeout=DEADLINE_S)
    except Exception as refused:  # kazoo has no name for this error.
        assert not isinstance(refused, AssertionError)
        return
    raise AssertionError("somebody who is nobody is served")


def zkcli(server, script, user, password):
    """What zkCli says to a few commands, as this user."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as jaas:
        jaas.write(CLIENT % (user, password))
        jaas.flush()
        flags = f"-Djava.security.auth.login.config={jaas.name}"
        return subprocess.run(
            ["bash", script, "-server", server.address],
            input="create /java hello sasl:bob:cdrwa\nget /java\ngetAcl /java\nwhoami\nquit\n",
            env={**os.environ, "CLIENT_JVMFLAGS": flags, "JVMFLAGS": flags},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        ).stdout


def java(server, script):
    told = zkcli(server, script, "bob", "bobsecret")
    at = 0
    for text in ("Created /java", "hello", "'sasl,'bob", ": cdrwa", "sasl: bob"):
        found = told.find(text, at)
        assert found >= 0, f"{text!r} is missing after byte {at} of:\n{told}"
        at = found
    told = zkcli(server, script, "bob", "wrong")
    assert "Created" not in told and "hello\n" not in told, told


def main():
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    binary, *scripts = sys.argv[1:]
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as users:
        users.write(USERS)
        users.flush()
        users_file = f'sasl_users_file = "{users.name}"\n'
        with Server(binary, users_file) as server:
            kazoo(server)
            print("kazoo sasl: ok", flush=True)
            for script in scripts:
                java(server, script)
                print("zkCli sasl: ok", flush=True)
        with Server(binary, users_file + 'enforce_auth_schemes = "sasl"\n') as server:
            anonymous(server)
            kazoo(server)
            print("kazoo sasl, enforced: ok", flush=True)
            for script in scripts:
                java(server, script)
                print("zkCli sasl, enforced: ok", flush=True)


main()
