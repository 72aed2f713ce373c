"""CPU-heavy work as an HTTP service in Python: how many primes are below a number.

Run: .venv/bin/python examples/languages/primes.py --port 8091
"""

import argparse
import json
from http.server import BaseHTTPRequestHandler, HTTPServer


def count_primes(below: int) -> int:
    sieve = bytearray([1]) * max(below, 2)
    sieve[0:2] = b"\0\0"
    for number in range(2, int(below**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, below, number)))
    return sum(sieve)


class Service(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            answer, status = {"language": "Python", "primes": count_primes(json.loads(body)["below"])}, 200
        except (ValueError, KeyError, TypeError) as error:
            answer, status = {"error": f"{type(error).__name__}: {error}"}, 400
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8091)
    HTTPServer(("127.0.0.1", parser.parse_args().port), Service).serve_forever()


if __name__ == "__main__":
    main()
