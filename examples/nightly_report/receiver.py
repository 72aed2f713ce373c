"""A receiver of callbacks: it checks each signature, prints each event once, and takes it.

Run: CALLBACK_SECRET=whsec_... .venv/bin/python examples/nightly_report/receiver.py --port 8090
"""

import argparse
import json
import os
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(os.environ["CALLBACK_SECRET"])
seen: set[str] = set()
"""The ids of events that were taken. A real receiver keeps them where they survive a restart."""


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = WEBHOOK.verify(body, headers)
        except WebhookVerificationError as error:
            self.send_error(HTTPStatus.UNAUTHORIZED, explain=str(error))
            return
        # An event comes again if the answer to it was lost.
        if headers["webhook-id"] not in seen:
            seen.add(headers["webhook-id"])
            print(json.dumps(event), flush=True)
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8090)
    ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Receiver).serve_forever()


if __name__ == "__main__":
    main()
