"""Make thumbnails of all images in a folder.

Run: .venv/bin/python examples/thumbnails/make_thumbnails.py FOLDER OUTPUT [--size 128]
"""

import argparse
import base64
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from workmanager.client import Client, ClientError, JobFailed

SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".webp"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    images = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    options.output.mkdir(parents=True, exist_ok=True)
    paths: dict[str, list[Path]] = {}
    left_out: list[Path] = []

    with Client.from_environment() as client:

        def submit() -> Iterator[str]:
            """Submit a job for each image, a few ahead of those that have ended."""
            for path in images:
                data = path.read_bytes()
                # The id is made of the content: the same image is not worked on twice, also if this runs again.
                job_id = hashlib.sha256(b"%d " % options.size + data).hexdigest()[:32]
                try:
                    client.submit(
                        "thumbnails.thumbnail", id=job_id, data=data, kwargs={"size": options.size}, feed=False
                    )
                except ClientError as error:  # such as an image that is larger than managers accept
                    print(f"{path}: {error}", file=sys.stderr)
                    left_out.append(path)
                    continue
                paths.setdefault(job_id, []).append(path)
                yield job_id

        for handle in client.as_completed(submit()):
            try:
                image = base64.b64decode(handle.result())
            except JobFailed as error:
                print(f"{paths[handle.id][0]}: {error}", file=sys.stderr)
                left_out += paths[handle.id]
                continue
            for path in paths[handle.id]:
                target = options.output / path.relative_to(options.folder).with_suffix(".png")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(image)
                print(target)
    return 1 if left_out else 0


if __name__ == "__main__":
    sys.exit(main())
