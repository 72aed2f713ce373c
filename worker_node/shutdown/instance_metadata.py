"""Client of the EC2 instance metadata service, version 2 (IMDSv2). botocore has one too, but a worker needs no boto3.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

DEFAULT_ENDPOINT = "http://169.254.169.254"
TOKEN_TTL_SECONDS = 21_600
"""The maximum that the service allows."""
REQUEST_TIMEOUT_SECONDS = 2.0


class MetadataUnavailable(Exception):
    """The metadata service does not answer, or refuses. Is this an EC2 instance, and is its HttpEndpoint enabled?"""


class InstanceMetadata:
    """Reads from the service; uses one session token until the service rejects it.

    Args:
        endpoint: URL of the service; '' for the address that it has on every instance.
    """

    def __init__(self, endpoint: str = "") -> None:
        # http.client ignores proxies in the environment, as it must: the service is on the instance itself.
        self._address = urlsplit(endpoint or DEFAULT_ENDPOINT).netloc
        self._token = ""

    async def read(self, path: str) -> str | None:
        """Return the text at `/latest/meta-data/<path>`; None if there is none.

        Raises:
            MetadataUnavailable: try again later.
        """
        return await asyncio.to_thread(self._read, path)

    def _read(self, path: str) -> str | None:
        status, text = self._get(path) if self._token else (HTTPStatus.UNAUTHORIZED, "")
        if status == HTTPStatus.UNAUTHORIZED:
            self._token = self._request_token()
            status, text = self._get(path)
        if status == HTTPStatus.NOT_FOUND:
            return None
        return self._check(path, status, text)

    def _get(self, path: str) -> tuple[int, str]:
        return self._send("GET", f"/latest/meta-data/{path}", {"X-aws-ec2-metadata-token": self._token})

    def _request_token(self) -> str:
        path = "/latest/api/token"
        return self._check(path, *self._send("PUT", path, {"X-aws-ec2-metadata-token-ttl-seconds": TOKEN_TTL_SECONDS}))

    def _send(self, method: str, path: str, headers: Mapping[str, str | int]) -> tuple[int, str]:
        connection = HTTPConnection(self._address, timeout=REQUEST_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, headers={name: str(value) for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, HTTPException, UnicodeDecodeError) as error:
            raise MetadataUnavailable(f"{self._address}: {error!r}") from error
        finally:
            connection.close()

    def _check(self, path: str, status: int, text: str) -> str:
        if status != HTTPStatus.OK:
            raise MetadataUnavailable(f"{self._address}: {path}: answered {status}")
        return text
