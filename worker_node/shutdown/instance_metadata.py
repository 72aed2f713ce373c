"""What EC2 says of the instance that this program runs on: the instance metadata service, version 2.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

DEFAULT_ENDPOINT = "http://169.254.169.254"
TOKEN_TTL_SECONDS = 21_600
"""The longest that the service allows."""
REQUEST_TIMEOUT_SECONDS = 2.0


class MetadataUnavailable(Exception):
    """The metadata service does not answer, or refuses: is this an EC2 instance, and its HttpEndpoint enabled?"""


class InstanceMetadata:
    """Reads from the service; one session token serves until it is refused.

    Args:
        endpoint: '' for the address that it has on every instance.
    """

    def __init__(self, endpoint: str = "") -> None:
        # No proxy of the environment: the service is on the instance itself.
        self._address = urlsplit(endpoint or DEFAULT_ENDPOINT).netloc
        self._token = ""

    async def read(self, path: str) -> str | None:
        """The text under `/latest/meta-data/<path>`, None where there is none.

        Raises:
            MetadataUnavailable: nothing is known; ask again later.
        """
        return await asyncio.to_thread(self._read, path)

    def _read(self, path: str) -> str | None:
        status, text = self._get(path) if self._token else (HTTPStatus.UNAUTHORIZED, "")
        if status == HTTPStatus.UNAUTHORIZED:
            self._token = self._ask_for_token()
            status, text = self._get(path)
        if status == HTTPStatus.NOT_FOUND:
            return None
        return self._checked(path, status, text)

    def _get(self, path: str) -> tuple[int, str]:
        return self._send("GET", f"/latest/meta-data/{path}", {"X-aws-ec2-metadata-token": self._token})

    def _ask_for_token(self) -> str:
        path = "/latest/api/token"
        return self._checked(
            path, *self._send("PUT", path, {"X-aws-ec2-metadata-token-ttl-seconds": TOKEN_TTL_SECONDS})
        )

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

    def _checked(self, path: str, status: int, text: str) -> str:
        if status != HTTPStatus.OK:
            raise MetadataUnavailable(f"{self._address}: {path}: answered {status}")
        return text
