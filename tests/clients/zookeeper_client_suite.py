"""The test-suite of the crate `zookeeper-client`, unmodified, against our server.

The published package carries its tests, which start ZooKeeper in containers by a fork of the crate
`testcontainers` that no registry has; our stand-in of that name starts our server. Arguments: the
server, and a directory to work in.
"""

import json
import os
import re
import shutil
import subprocess
import sys

from expectations import Verdict

PACKAGE = "zookeeper-client"
# Kerberos (`sasl-gssapi`) needs a library and a server that this is not about.
FEATURES = "tls,sasl-digest-md5,tokio"


def source():
    """Where cargo has unpacked the package: it is among the crates of our own tests."""
    told = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    packages = json.loads(told)["packages"]
    found = [each["manifest_path"] for each in packages if each["name"] == PACKAGE]
    assert len(found) == 1, f"{PACKAGE}: {found}"
    return os.path.dirname(found[0])


def unpack(work):
    """A package of its own, with the stand-in in the place of what was fetched by git."""
    here = os.path.dirname(os.path.abspath(__file__))
    package = f"{work}/package"
    shutil.rmtree(package, ignore_errors=True)
    origin = source()
    for part in ("src", "tests"):
        shutil.copytree(f"{origin}/{part}", f"{package}/{part}")
    shutil.copy(f"{origin}/Cargo.toml", package)
    with open(f"{package}/Cargo.toml", "a", encoding="utf-8") as manifest:
        stand_in = json.dumps(f"{here}/stand_ins/testcontainers")
        manifest.write(f"\n[dev-dependencies.testcontainers]\npath = {stand_in}\n\n[workspace]\n")
    return package


def main():
    binary, work = (os.path.abspath(path) for path in sys.argv[1:])
    work = f"{work}/{PACKAGE}"
    package = unpack(work)
    variables = dict(
        os.environ,
        PATH=f"{os.path.dirname(os.path.abspath(__file__))}/stand_ins:{os.environ['PATH']}",
        PYTHONDONTWRITEBYTECODE="1",
        ALTHING_BINARY=binary,
        CARGO_TARGET_DIR=f"{work}/target",
        CARGO_PROFILE_DEV_LTO="off",
        CARGO_PROFILE_DEV_DEBUG="0",
        # Which tests use TLS is not left to chance: `test_tls` and `test_readonly_tls` always do.
        ZK_TEST_TLS="false",
        ZK_TLS_HOSTNAME_VERIFICATION="true",
    )
    with open(f"{work}/log", "w+", encoding="utf-8") as log:
        subprocess.run(
            [
                *("cargo", "test", "--no-fail-fast", "--lib", "--tests", "--features", FEATURES),
                *("--", "--test-threads", "4"),
            ],
            cwd=package,
            env=variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
        log.seek(0)
        said = log.read()
    verdict = Verdict(PACKAGE)
    words = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
    ended = r"^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)"
    for name, word in re.findall(ended, said, re.MULTILINE):
        verdict.ended(name, words[word])
    good = verdict.print()
    if not good:
        print(f"what the tests said: {work}/log")
    sys.exit(0 if good else 1)


main()
