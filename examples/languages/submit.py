"""Let three services, each in another language, do the same work, and compare what they answer.

Run: .venv/bin/python examples/languages/submit.py URL... [--below 1000000]
"""

import argparse
import json
import sys

from workmanager.client import Client, JobFailed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="+")
    parser.add_argument("--below", type=int, default=1_000_000)
    options = parser.parse_args()
    counts = set()
    with Client.from_environment() as client:
        ids = [
            client.submit("http", kwargs={"url": url, "json": {"below": options.below}, "timeout": 600}, feed=False)
            for url in options.urls
        ]
        for handle in client.as_completed(ids):
            try:
                answer = json.loads(handle.result()["body"])
            except JobFailed as error:
                sys.exit(str(error))
            print(f"{answer['language']}: {answer['primes']} primes below {options.below}")
            counts.add(answer["primes"])
    return 0 if len(counts) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
