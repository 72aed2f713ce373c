#!/usr/bin/env bash
# botocore 1.44.5: a page of XHTML with status 200 is an empty answer of EC2, while one of HTML is an error.
#
# Behaviour: a proxy or a captive portal can answer in EC2's place. Of an answer with status 200, botocore checks only
#   that it is XML. A page of XHTML is, so `describe_instances` returns a dictionary without `Reservations`, and no error:
#   a program that reads `answer.get("Reservations", [])`, or a paginator, takes it for "there are no instances". A page
#   of HTML that is no XML raises ResponseParserError, which is no subclass of BotoCoreError.
# Upstream: not reported, as far as could be found.
# Here: the scaler takes an answer without the list that it asked for as unreadable (`UnreadableAnswer` in
#   scaler/fleets/ec2/): otherwise all instances would look ended.
# Expected output, seen 2026-11-28 with Python 3.11.7:
#   XHTML: no error, keys ['ResponseMetadata'], the paginator finds 0 instances
#   HTML: ResponseParserError, a BotoCoreError: False
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check boto3==1.44.5 botocore==1.44.5
"$folder/venv/bin/python" - <<'PY'
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
from botocore.exceptions import BotoCoreError
from botocore.parsers import ResponseParserError

XHTML = b'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>Log in</title></head><body><p>Log in</p></body></html>'
HTML = b"<!doctype html><title>Log in</title><p>Log in<br>"


class Portal(BaseHTTPRequestHandler):
    page = XHTML

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Portal)
threading.Thread(target=server.serve_forever, daemon=True).start()
ec2 = boto3.client(
    "ec2",
    region_name="us-east-1",
    endpoint_url=f"http://127.0.0.1:{server.server_port}",
    aws_access_key_id="testing",
    aws_secret_access_key="testing",
)
keys = sorted(ec2.describe_instances())
found = sum(len(page.get("Reservations", [])) for page in ec2.get_paginator("describe_instances").paginate())
print(f"XHTML: no error, keys {keys}, the paginator finds {found} instances")
Portal.page = HTML
try:
    ec2.describe_instances()
    raise SystemExit("the behaviour has changed: HTML is accepted")
except ResponseParserError as error:
    is_core = isinstance(error, BotoCoreError)
print(f"HTML: ResponseParserError, a BotoCoreError: {is_core}")
assert (keys, found, is_core) == (["ResponseMetadata"], 0, False), "the behaviour has changed"
PY
