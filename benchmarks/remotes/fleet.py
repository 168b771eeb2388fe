"""Starts remotes, waits until they accept, and stops each one by its own process id.

replayd serves the loopback device only, nginx clients of the loopback only. storescp and Orthanc have no option for the
address they listen on: they take every one, store nothing, and live as long as the run.
"""

import json
import socket
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

from benchmarks.outcome import BenchmarkError
from benchmarks.remotes.identities import Identities, make_identities
from benchmarks.remotes.programs import compiled, program

HOST = "127.0.0.1"
NGINX = """
daemon off;
worker_processes 2;
worker_rlimit_nofile 16384;
pid {folder}/nginx.pid;
error_log /dev/null crit;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen 0.0.0.0:{port} ssl backlog=4096;
        allow 127.0.0.0/8;
        deny all;
        ssl_certificate {known.server.certificate};
        ssl_certificate_key {known.server.key};
        ssl_client_certificate {known.authority};
        ssl_verify_client on;
        ssl_protocols TLSv1.3;
        location = /api/health/ {{ return 200 "allServicesOperative\\n"; }}
    }}
}}
"""
START_WITHIN = 20.0  # seconds
STOP_WITHIN = 5.0


class Remotes:
    """All remotes of one run, by name: `replayd`, `silent`, `refused`, `storescp`, `storescp-tls`, `orthanc`, `nginx`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lbkit-benchmarks-")
        self._processes: list[subprocess.Popen[str]] = []
        self._sockets: list[socket.socket] = []
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._processes:
            _stop(process)
        for held in self._sockets:
            held.close()
        self._folder.cleanup()

    def port(self, name: str) -> int:
        """The port of a remote on 127.0.0.1, which is started if it is not running yet.

        :raises NotInstalledError: its program is not on this machine
        """
        if name not in self._ports:
            self._ports[name] = self._start(name)
        return self._ports[name]

    @property
    def folder(self) -> Path:
        """Where certificates, binaries and what remotes write are kept until the end of the run."""
        return Path(self._folder.name)

    @cached_property
    def identities(self) -> Identities:
        """The certificates that `storescp-tls` and `nginx` know."""
        return make_identities(self.folder)

    def replayc(self) -> str:
        """The path of the C client."""
        return compiled("replayc", self.folder)

    def _start(self, name: str) -> int:
        match name:
            case "replayd":
                return self._start_replayd()
            case "silent":
                return self._start_replayd("--silent")
            case "refused":
                return self._hold_refused_port()
            case "storescp":
                return self._start_storescp()
            case "storescp-tls":
                return self._start_storescp_tls()
            case "orthanc":
                return self._start_orthanc()
            case "nginx":
                return self._start_nginx()
        raise KeyError(name)

    def _start_replayd(self, *mode: str) -> int:
        process = self._launch([compiled("replayd", self.folder), "0", *mode], stdout=subprocess.PIPE)
        assert process.stdout is not None
        line = process.stdout.readline()  # printed once it accepts
        if not line:
            raise BenchmarkError("replayd did not start: is the loopback device refused (SO_BINDTODEVICE lo)?")
        return int(line)

    def _hold_refused_port(self) -> int:
        """A port that is bound and does not listen: nobody else can take it, and every connection is refused."""
        held = socket.socket()
        held.bind(("", 0))
        self._sockets.append(held)
        port: int = held.getsockname()[1]
        return port

    def _start_storescp(self, *options: str) -> int:
        port = _free_port()
        self._launch([program("storescp"), "--quiet", "--ignore", *options, str(port)])
        return self._accepting(port, "storescp")

    def _start_storescp_tls(self) -> int:
        server = self.identities.server
        return self._start_storescp(
            "--enable-tls", server.key, server.certificate,
            "--add-cert-file", self.identities.authority, "--require-peer-cert",
        )  # fmt: skip

    def _start_orthanc(self) -> int:
        port = _free_port()
        storage = str(self.folder / "orthanc")
        configuration = {
            "Name": "BENCHMARK", "StorageDirectory": storage, "IndexDirectory": storage, "Plugins": [],
            "HttpServerEnabled": False, "DicomServerEnabled": True, "DicomAet": "LB-SCP", "DicomPort": port,
            "DicomCheckCalledAet": False, "DicomAlwaysAllowEcho": True, "DicomAlwaysAllowStore": False,
        }  # fmt: skip
        file = self.folder / "orthanc.json"
        file.write_text(json.dumps(configuration))
        self._launch([program("Orthanc"), str(file)])
        return self._accepting(port, "Orthanc")

    def _start_nginx(self) -> int:
        port = _free_port()
        configuration = NGINX.format(folder=self.folder, port=port, known=self.identities)
        file = self.folder / "nginx.conf"
        file.write_text(configuration)
        self._launch([program("nginx"), "-p", str(self.folder), "-c", str(file), "-e", "stderr"])
        return self._accepting(port, "nginx")

    def _launch(self, command: list[str], stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, text=True
        )
        self._processes.append(process)
        return process

    def _accepting(self, port: int, name: str) -> int:
        """Wait until the process started last accepts on `port`."""
        process, deadline = self._processes[-1], monotonic() + START_WITHIN
        while process.poll() is None and monotonic() < deadline:
            try:
                socket.create_connection((HOST, port), timeout=1).close()
                return port
            except OSError:
                sleep(0.05)
        raise BenchmarkError(f"{name} does not accept connections (exit code {process.returncode})")


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
