"""Proxies as their packages configure them: nginx with a bare `proxy_pass`, HAProxy with its defaults."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import pick_port
from tests.waiting import until
from workmanager.local import ports

_NGINX = """
daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 768; }}
http {{
  access_log {directory}/access.log;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  client_max_body_size 0;
  upstream pool {{ server 127.0.0.1:{manager}; {spare} keepalive 8; }}
  server {{
    listen 127.0.0.1:{port};
{location}
  }}
}}
"""
NGINX_LOCATIONS = {
    "nginx": "location / { proxy_pass http://127.0.0.1:MANAGER; }",
    "nginx, unbuffered": "location / { proxy_pass http://127.0.0.1:MANAGER; proxy_request_buffering off; }",
    "nginx, keep-alive": """
      location / {
        proxy_pass http://pool; proxy_http_version 1.1;
        proxy_set_header Connection ''; proxy_set_header Host $host;
      }""",
    "nginx, prefix kept": "location /queue/ { proxy_pass http://127.0.0.1:MANAGER; }",
    "nginx, prefix removed": "location /queue/ { proxy_pass http://127.0.0.1:MANAGER/; }",
}
# The defaults are those of Debian's package.
_HAPROXY = """
defaults
  mode http
  timeout connect 5000
  timeout client 50000
  timeout server 50000
frontend clients
  bind 127.0.0.1:{port}
  default_backend managers
backend managers
  option httpchk GET /readyz
  server one 127.0.0.1:{manager} check inter 200
"""


@contextmanager
def proxy(name: str, directory: Path, manager_port: int, spare_port: int | None = None) -> Iterator[str]:
    """Run a proxy of `NGINX_LOCATIONS`, or `haproxy`, in front of a manager, and yield its URL.

    Args:
        spare_port: of a manager that serves when the other one does not, with `nginx, keep-alive`.
    """
    directory.mkdir()
    port = pick_port()
    if name == "haproxy":
        (directory / "haproxy.cfg").write_text(_HAPROXY.format(port=port, manager=manager_port))
        command = [find("haproxy"), "-db", "-f", str(directory / "haproxy.cfg")]
    else:
        location = NGINX_LOCATIONS[name].replace("MANAGER", str(manager_port))
        spare = "" if spare_port is None else f"server 127.0.0.1:{spare_port} backup;"
        text = _NGINX.format(directory=directory, port=port, manager=manager_port, location=location, spare=spare)
        (directory / "nginx.conf").write_text(text)
        command = [find("nginx"), "-p", str(directory), "-e", str(directory / "error.log"), "-c", "nginx.conf"]
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until(lambda: process.poll() is not None or not ports.is_free(port), wanted=f"{name} that listens")
        assert process.poll() is None, (directory / "output").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def find(program: str) -> str:
    """Return the path of a program; '' if it is not installed."""
    return shutil.which(program, path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin") or ""
