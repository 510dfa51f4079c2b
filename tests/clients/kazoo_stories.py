"""Stories told with kazoo, an unmodified third-party client, against the real binary."""

import logging
import sys
import tempfile
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import BadVersionError, ConnectionClosedError, NoAuthError
from kazoo.exceptions import NodeExistsError, NoNodeError, NotEmptyError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.retry import KazooRetry
from kazoo.security import make_acl, make_digest_acl

from certificates import Authority
from server import Server

DEADLINE_S = 30


def client(server, **options):
    retry = KazooRetry(max_tries=-1, delay=0.05, max_delay=0.5, deadline=DEADLINE_S)
    made = KazooClient(
        hosts=server.address, timeout=6, connection_retry=retry, command_retry=retry, **options
    )
    made.start(timeout=DEADLINE_S)
    return made


def wait_for(what, condition):
    """Waits until `condition()` holds; the story fails if it never does."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)


def the_tree(server):
    zk = client(server)
    zk.ensure_path("/payment/db/shard37")
    zk.create("/payment/db/shard37/master_ip", b"10.0.0.1")
    data, stat = zk.get("/payment/db/shard37/master_ip")
    assert (data, stat.version, stat.dataLength) == (b"10.0.0.1", 0, 8)
    stat = zk.set("/payment/db/shard37/master_ip", b"10.0.0.2", version=0)
    assert stat.version == 1 and stat.mzxid > stat.czxid
    for error, call in [
        (BadVersionError, lambda: zk.set("/payment/db/shard37/master_ip", b"x", version=0)),
        (NodeExistsError, lambda: zk.create("/payment")),
        (NoNodeError, lambda: zk.create("/a/b")),
        (NotEmptyError, lambda: zk.delete("/payment")),
        (NoNodeError, lambda: zk.get("/nowhere")),
    ]:
        try:
            call()
        except error:
            continue
        raise AssertionError(f"{error.__name__} was not raised")
    assert zk.exists("/nowhere") is None
    names = [zk.create("/payment/n-", sequence=True) for _ in range(3)]
    assert names == [f"/payment/n-{number:010d}" for number in (1, 2, 3)], names
    assert sorted(zk.get_children("/payment")) == ["db"] + [name[9:] for name in names]
    path, stat = zk.create("/payment/both", b"xyz", include_data=True)
    assert (path, stat.dataLength) == ("/payment/both", 3)
    children, stat = zk.get_children("/payment", include_data=True)
    assert len(children) == stat.numChildren == 5
    zk.sync("/payment")
    zk.stop()


def transactions(server):
    zk = client(server)
    zk.create("/config")
    both = zk.transaction()
    both.create("/config/a", b"1")
    both.create("/config/b", b"1")
    assert both.commit() == ["/config/a", "/config/b"]
    bad = zk.transaction()
    bad.set_data("/config/a", b"2")
    bad.check("/config/b", 7)
    bad.delete("/config/b")
    results = [type(result).__name__ for result in bad.commit()]
    assert results == ["RolledBackError", "BadVersionError", "RuntimeInconsistency"], results
    assert zk.get("/config/a")[0] == b"1"
    zk.stop()


def watches(server):
    reader, writer = client(server), client(server)
    events = []
    writer.create("/watched", b"0")
    reader.get("/watched", watch=events.append)
    reader.get_children("/", watch=events.append)
    reader.exists("/later", watch=events.append)
    writer.set("/watched", b"1")
    writer.create("/later")
    wait_for("three events", lambda: len(events) == 3)
    seen = sorted((event.type, event.path) for event in events)
    assert seen == [("CHANGED", "/watched"), ("CHILD", "/"), ("CREATED", "/later")], seen
    writer.set("/watched", b"2")
    reader.sync("/")
    assert len(events) == 3, "a watch tells once"
    reader.stop()
    writer.stop()


def access(server):
    owner, stranger = client(server), client(server)
    owner.add_auth("digest", "owner:secret")
    acl = [make_digest_acl("owner", "secret", all=True)]
    owner.create("/private", b"x", acl=acl)
    for call in [
        lambda: stranger.get("/private"),
        lambda: stranger.set("/private", b"y"),
        lambda: stranger.get_children("/private"),
        lambda: stranger.create("/private/a"),
    ]:
        try:
            call()
        except NoAuthError:
            continue
        raise AssertionError("a stranger was let in")
    stranger.add_auth("digest", "owner:secret")
    assert stranger.get("/private")[0] == b"x"
    owner.stop()
    stranger.stop()


def super_user(binary):
    """Who knows the password of the server's own super user may do everything."""
    # The digest of super:admin, from ZooKeeper's administrator's guide.
    with Server(binary, 'super_digest = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="\n') as server:
        owner, operator = client(server), client(server)
        acl = [make_digest_acl("owner", "secret", read=True)]
        owner.create("/private", b"x", acl=acl)
        operator.add_auth("digest", "super:wrong")
        try:
            operator.get("/private")
            raise AssertionError("a stranger was let in")
        except NoAuthError:
            pass
        operator.add_auth("digest", "super:admin")
        assert operator.get("/private")[0] == b"x"
        operator.set_acls("/private", [make_acl("world", "anyone", all=True)])
        assert owner.get("/private")[0] == b"x"
        owner.stop()
        operator.stop()


def certificates(binary):
    """TLS and plain text on one port; who shows a certificate is who it says."""
    with tempfile.TemporaryDirectory(prefix="althing-") as directory:
        authority = Authority(directory)
        certificate, key = authority.sign("server")
        settings = f"""
            port_unification = true
            client_tls_certificate = "{certificate}"
            client_tls_key = "{key}"
            client_tls_authority = "{authority.certificate}"
            super_subject = "CN=root,O=Example"
        """

        def known(name, server):
            certificate, key = authority.sign(name)
            options = {"use_ssl": True, "ca": authority.certificate}
            return client(server, certfile=certificate, keyfile=key, **options)

        with Server(binary, settings) as server:
            alice, root, stranger = known("alice", server), known("root", server), client(server)
            hers = [make_acl("x509", "CN=alice,O=Example", all=True)]
            alice.create("/hers", b"x" * 1000, acl=hers)
            assert alice.get("/hers")[0] == b"x" * 1000
            assert root.get_acls("/hers")[0] == hers
            try:
                stranger.get("/hers")
                raise AssertionError("a stranger was let in")
            except NoAuthError:
                pass
            nameless = KazooClient(hosts=server.address, use_ssl=True, ca=authority.certificate)
            try:
                nameless.start(timeout=2)
                raise AssertionError("a client without a certificate was let in")
            except KazooTimeoutError:
                nameless.stop()
            for zk in (alice, root, stranger):
                zk.stop()


def locks(server):
    """Eight clients, one lock: no two hold it at once."""
    clients = [client(server) for _ in range(8)]
    holders, overlaps, turns = [], [], []

    def work(zk):
        lock = zk.Lock("/lock", zk.client_id[0])
        for _ in range(5):
            with lock:
                holders.append(zk)
                if len(holders) != 1:
                    overlaps.append(len(holders))
                turns.append(zk)
                holders.remove(zk)

    threads = [threading.Thread(target=work, args=(zk,)) for zk in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "somebody never got the lock"
    assert not overlaps and len(turns) == 40
    for zk in clients:
        zk.stop()


def elections(server):
    """The leader leaves; exactly one of the others takes its place."""
    clients = [client(server) for _ in range(3)]
    leaders, leave = [], threading.Event()

    def lead(zk):
        leaders.append(zk)
        leave.wait(DEADLINE_S)

    def candidate(zk):
        try:
            zk.Election("/election").run(lead, zk)
        except ConnectionClosedError:
            pass  # Its client was stopped while it led, or while it still waited.

    for zk in clients:
        threading.Thread(target=candidate, args=(zk,), daemon=True).start()
    wait_for("a leader", lambda: len(leaders) == 1)
    leaders[0].stop()
    wait_for("a successor", lambda: len(leaders) >= 2)
    assert len(leaders) == 2 and leaders[0] is not leaders[1]
    leave.set()
    for zk in clients:
        zk.stop()


def ephemerals(server):
    owner, reader = client(server), client(server)
    owner.create("/alive", b"", ephemeral=True)
    gone = threading.Event()
    reader.exists("/alive", watch=lambda event: gone.set())
    owner.stop()
    assert gone.wait(DEADLINE_S), "the ephemeral outlived its session"
    assert reader.exists("/alive") is None
    reader.stop()


def kill_and_restart(server):
    """kill -9 while a client writes: what was acknowledged is there, the session lives on."""
    zk = client(server)
    states = []
    zk.add_listener(states.append)
    zk.create("/durable")
    zk.create("/durable/ephemeral", ephemeral=True)
    session = zk.client_id[0]
    for round_number in range(3):
        acknowledged, stop = [], threading.Event()

        def write():
            other = client(server)
            while not stop.is_set():
                name = f"/durable/{round_number}-{len(acknowledged)}"
                try:
                    other.create(name)
                except Exception:  # The server dies in the middle: this one is not acknowledged.
                    break
                acknowledged.append(name)
            other.stop()

        writer = threading.Thread(target=write)
        writer.start()
        wait_for("some writes", lambda: len(acknowledged) >= 100)
        server.kill()
        stop.set()
        server.start()
        writer.join(DEADLINE_S)
        wait_for("the session to live on", lambda: zk.state == KazooState.CONNECTED)
        present = set(zk.get_children("/durable"))
        lost = [name for name in acknowledged if name[9:] not in present]
        assert not lost, f"{len(lost)} acknowledged writes are lost"
    assert zk.client_id[0] == session and KazooState.LOST not in states
    assert zk.exists("/durable/ephemeral"), "the session lives and so do its ephemerals"
    zk.stop()


def main():
    # Lost connections are what some of the stories are about.
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    for story in (
        the_tree,
        transactions,
        watches,
        access,
        locks,
        elections,
        ephemerals,
        kill_and_restart,
    ):
        with Server(sys.argv[1]) as server:
            story(server)
        print(f"kazoo {story.__name__}: ok", flush=True)
    for story in (super_user, certificates):
        story(sys.argv[1])
        print(f"kazoo {story.__name__}: ok", flush=True)


main()
