"""An authority, and certificates that it has signed, made by openssl for one run."""

import os
import subprocess


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """Signs what a story needs, into `directory`."""

    def __init__(self, directory):
        self.directory = directory
        self.certificate = self.path("authority.pem")
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=authority"),
            *("-keyout", self.path("authority.key"), "-out", self.certificate),
        )

    def path(self, name):
        return os.path.join(self.directory, name)

    def sign(self, name):
        """The files of a certificate and its key; this machine is a host that it names."""
        key, request, certificate = (self.path(f"{name}.{end}") for end in ("key", "csr", "pem"))
        openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/O=Example/CN={name}", "-keyout", key, "-out", request),
        )
        extensions = self.path(f"{name}.ext")
        with open(extensions, "w", encoding="ascii") as file:
            file.write("basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAcreateserial"),
            *("-CAkey", self.path("authority.key"), "-days", "2"),
            *("-extfile", extensions, "-out", certificate),
        )
        return certificate, key
