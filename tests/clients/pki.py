"""Certificates of every kind that a server must refuse, made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness import PATIENCE


@dataclass(frozen=True)
class Identity:
    cert: Path
    key: Path


class Authority:
    """An authority in a folder of its own."""

    def __init__(self, folder: Path, name: str = "Test CA"):
        folder.mkdir(parents=True)
        self.folder = folder
        self.cert, self.key = folder / "ca.pem", folder / "ca.key"
        openssl("req", "-x509", *NEW_KEY, "-keyout", self.key, "-out", self.cert,
                "-subj", f"/CN={name}", "-days", "30")

    def issue(self, name: str, usage: str, *, alt_names: str = "", days: int = 30) -> Identity:
        """A certificate for that use (`serverAuth`, `clientAuth`); with negative `days`, expired."""
        stem = self.folder / f"{name}-{usage}-{days}"
        cert, key, request, extensions = (
            stem.with_name(stem.name + end) for end in (".pem", ".key", ".csr", ".ext")
        )
        openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/O=Example/CN={name}")
        lines = [f"extendedKeyUsage={usage}", "basicConstraints=CA:FALSE"]
        lines += [f"subjectAltName={alt_names}"] if alt_names else []
        extensions.write_text("\n".join(lines) + "\n")
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key,
                "-days", str(days), "-extfile", extensions, "-out", cert)
        return Identity(cert, key)

    def revoke(self, *identities: Identity) -> Path:
        """A list with these certificates on it."""
        index, config, crl = (self.folder / name for name in ("index", "ca.conf", "crl.pem"))
        index.touch()
        config.write_text(
            f"[ca]\ndefault_ca = ours\n[ours]\ndatabase = {index}\ncrlnumber = {index}.number\n"
            f"certificate = {self.cert}\nprivate_key = {self.key}\ndefault_md = sha256\n"
            "default_crl_days = 30\ncrl_extensions = lists\n"
            "[lists]\nauthorityKeyIdentifier = keyid\n"
        )
        index.with_suffix(".number").write_text("01\n")
        for identity in identities:
            openssl("ca", "-config", config, "-revoke", identity.cert)
        openssl("ca", "-config", config, "-gencrl", "-out", crl)
        return crl


NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*args):
    command = ["openssl", *map(str, args)]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
