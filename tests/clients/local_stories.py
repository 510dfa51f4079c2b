"""Sessions of one server alone: the same story against three of our servers and, if its jars are
given, against three of Apache ZooKeeper 3.9. What comes of each step must be the same, but for what
docs/compatibility.md says."""

import socket
import sys
import time

from apache_ensemble import Apache
from ensemble import Ensemble
from raw import CREATE, DEADLINE_S, EPHEMERAL, EXISTS, GET, MULTI, SET, Raw
from raw import creation, owner, several, text

# Steps of which something else comes there: docs/compatibility.md says what, and why.
DIFFERS = {"and one within a multi", "and whose it is goes on"}


def figure(port, name):
    """A figure of `mntr`."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as stream:
        stream.sendall(b"mntr")
        told = b"".join(iter(lambda: stream.recv(65536), b"")).decode()
    lines = (line.split("\t") for line in told.splitlines())
    return next((int(line[1]) for line in lines if line[0] == name), None)


def until(what, holds):
    """Waits until something holds."""
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)


def serves_again(port, former, password=None):
    """Is who comes with a session's number and password served in it?"""
    again = Raw(port, former.session, password or former.password)
    same = again.is_served and again.session == former.session
    again.vanish()
    return same


def facts(ensemble, upgrades):
    """What comes of each step, by its name."""
    here, there = ensemble.ports[0], ensemble.ports[1]
    local = lambda: figure(here, "zk_local_sessions")
    of_all = lambda: figure(here, "zk_global_sessions")
    told = {}
    one = Raw(here)
    told["a new session is local"] = (local(), of_all())
    told["it writes"] = one.ask(CREATE, creation(b"/lasting"))[0]
    told["and reads"] = one.ask(GET, text(b"/lasting") + b"\1")[0]
    told["it creates an ephemeral znode"] = one.ask(CREATE, creation(b"/mine", EPHEMERAL))[0]
    both = several(creation(b"/first"), creation(b"/second", EPHEMERAL))
    error, results = one.ask(MULTI, both)
    told["and one within a multi"] = (error, results.hex() if error or not upgrades else "")
    told["and nothing else of that"] = one.ask(EXISTS, text(b"/first") + b"\0")[0]
    changes = text(b"/lasting") + text(b"2") + b"\xff\xff\xff\xff"
    told["it goes on"] = one.ask(SET, changes)[0]
    told["its watch fires"] = one.await_event()
    told["whose it is after that"] = (local(), of_all())
    if upgrades:
        mine = one.ask(EXISTS, text(b"/mine") + b"\0")[1]
        told["it owns what it created, under its number"] = owner(mine) == one.session
    one.vanish()
    told["it comes back to its server"] = serves_again(here, one)
    two = Raw(here)
    if upgrades:
        told["another owns something, too"] = two.ask(CREATE, creation(b"/its", EPHEMERAL))[0]
    two.vanish()
    told["it moves"] = serves_again(there, two)
    three = Raw(here)
    told["who has no password is let in"] = serves_again(here, three, b"\1" * 16)
    told["and whose it is goes on"] = three.is_open()
    three.vanish()
    ensemble.restart(0)
    told["it outlives its server"] = serves_again(here, three)
    until("the silent ones end", lambda: (local(), of_all()) == (0, 0))
    four = Raw(here, timeout_ms=2000)
    told["its time-out"] = four.timeout_ms
    began = time.monotonic()
    until("it ends in silence", lambda: local() == 0)
    told["it ends in silence, soon after 2 s"] = 1.9 < time.monotonic() - began < 6
    five = Raw(here)
    told["it is closed"] = (five.close(), local())
    return told


def story(ensemble, name, upgrades):
    with ensemble:
        told = facts(ensemble, upgrades)
    mode = "upgraded" if upgrades else "local for ever"
    print(f"local sessions of {name}, {mode}: {len(told)} steps", flush=True)
    return told


def main():
    binary, *jars = sys.argv[1:]
    for upgrades in (False, True):
        ours = ["tick_ms = 500", "local_sessions = true"]
        theirs = ["localSessionsEnabled=true"]
        if upgrades:
            ours.append("local_session_upgrades = true")
            theirs.append("localSessionsUpgradingEnabled=true")
        here = story(Ensemble(binary, ours), "ours", upgrades)
        for each in jars:
            there = story(Apache(each, theirs), "Apache ZooKeeper", upgrades)
            differ = {step for step in there if here[step] != there[step]}
            for step in sorted(differ):
                print(f"  {step}: here {here[step]}, there {there[step]}")
            assert differ <= DIFFERS, f"not intended: {differ - DIFFERS}"


main()
