"""What a suite wants of ZooKeeper, by zoo.cfg and Java's properties, in one zoo.cfg of ours."""

import os
import re

# Properties that concern Java or its logging.
OF_JAVA = ("zookeeper.log", "zookeeper.root", "zookeeper.http", "zookeeper.jmx")


def rewrite(source, properties, stores):
    """The lines of `source` and of Java's `properties`.

    `stores` turns a key store into a file of PEM; if it cannot, everything about TLS is left out.
    """
    lines, tls = [], True
    passwords = dict(re.findall(r"^(\S+\.password)=(.*)$", source, re.MULTILINE))
    for line in source.splitlines():
        key, _, value = line.partition("=")
        if key in ("ssl.keyStore.location", "ssl.trustStore.location"):
            password = passwords.get(key.replace("location", "password"), "")
            store = stores(value, password)
            tls = tls and store is not None
            line = f"{key}={store}"
        if not key.endswith(".password"):
            lines.append(line)
    if not tls:
        lines = [line for line in lines if not line.startswith(("ssl.", "secureClientPort"))]
    for key, value in properties.items():
        if key.startswith("zookeeper.") and not key.startswith(OF_JAVA):
            lines.append(f"{key.removeprefix('zookeeper.')}={value}")
        if key in ("readonlymode.enabled", "znode.container.checkIntervalMs"):
            lines.append(f"{key}={value}")
        # A suite that wants no SASL passes an empty file.
        if key == "java.security.auth.login.config" and os.path.getsize(value) > 0:
            lines.append(f"althing.saslUsersFile={value}")
    return "\n".join(lines) + "\n"


def properties_of(arguments):
    """The properties in a command line of Java's."""
    given = (argument[2:] for argument in arguments if argument.startswith("-D"))
    return dict(each.partition("=")[::2] for each in given)


def value_of(text, key):
    """What a zoo.cfg says of `key`, if it does; the last line counts."""
    found = re.findall(rf"^{re.escape(key)}=(.*)$", text, re.MULTILINE)
    return found[-1].strip() if found else None


def client_port(text):
    """Where the server of this zoo.cfg serves clients without TLS; 0 if it does not."""
    port = value_of(text, "clientPort")
    if port is None and value_of(text, "secureClientPort") is None:
        with open(os.path.join(value_of(text, "dataDir"), "myid"), encoding="ascii") as file:
            own = value_of(text, f"server.{file.read().strip()}")
        port = own.rpartition(":")[2]
    return int(port or 0)


def written(path, text):
    """Writes `text` so that nobody reads half of it; returns where."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)
    return path
