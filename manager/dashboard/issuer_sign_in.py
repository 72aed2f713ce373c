"""Signing in at an issuer (OpenID Connect): the way there, and back."""

import base64
import json
import logging
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from fastapi import Request, Response

from manager.dashboard.forms import go_to, own_page, read_form
from manager.dashboard.rendering import Pages
from manager.dashboard.sign_in import NOBODY, SignInRoutes
from manager.http.asgi import FIELDS, Scope
from manager.http.authentication import ApiKeyAuth
from manager.http.dashboard_paths import HOME, ISSUER_CALLBACK, SIGN_IN
from manager.http.page_origin import check_own_page
from manager.http.problems import BAD_QUERY, Problem
from manager.http.query_parameters import NO_PARAMETERS
from manager.http.sessions import cookies_of
from manager.jwt.errors import IssuerUnavailable, SignInRefused

if TYPE_CHECKING:
    # Managers without an issuer start without joserfc.
    from manager.jwt.code_flow import Attempt, CodeFlow

ATTEMPT_COOKIE = "workmanager_sign_in"
ATTEMPT_SECONDS = 600
MAX_PARAMETERS = 20
"""With which an issuer sends a browser back."""
_ORIGIN = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+", re.ASCII)
_GONE = "This attempt to sign in is over, or was begun in another browser. Try again."

log = logging.getLogger(__name__)


class IssuerSignInRoutes:
    """Handlers.

    Args:
        flow: None if nobody can sign in at an issuer.
        sign_in: shows the page to sign in, and says what went wrong.
        root_path: prefix of all paths.
    """

    def __init__(
        self, flow: "CodeFlow | None", auth: ApiKeyAuth, pages: Pages, sign_in: SignInRoutes, root_path: str
    ) -> None:
        self._flow = flow
        self._auth = auth
        self._pages = pages
        self._sign_in = sign_in
        self._root_path = root_path

    async def begin(self, request: Request) -> Response:
        """Send the browser to the issuer."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        check_own_page(request.scope[FIELDS])
        page = own_page((await read_form(request)).get("next", HOME))
        # The browser knows at which address people see this manager; proxies hide it.
        origin = request.scope[FIELDS].get(b"origin", b"").decode("latin-1")
        if self._flow is None:
            return go_to(SIGN_IN)
        if not _ORIGIN.fullmatch(origin):
            return self._sign_in.page(page, "Your browser does not say where it has sent this form.", 403)
        attempt = _attempt(f"{origin}{self._root_path}{ISSUER_CALLBACK}")
        try:
            address = self._flow.page_of(attempt)
        except IssuerUnavailable as error:
            return self._refuse(page, error)
        content = json.dumps([attempt.secret, attempt.redirect_url, page]).encode()
        answer = self._go_on(address, self._flow.issuer.host)
        answer.headers["Set-Cookie"] = self._attempt_cookie(
            base64.urlsafe_b64encode(content).rstrip(b"=").decode(), ATTEMPT_SECONDS, origin
        )
        return answer

    async def finish(self, request: Request) -> Response:
        """Begin a session for whom the issuer has signed in."""
        if self._flow is None:
            return go_to(SIGN_IN)
        query = _read_query(request.scope)
        attempt, page = _read_attempt(request.scope)
        if attempt is None:
            return self._sign_in.page(HOME, _GONE, 403)
        try:
            caller = await self._flow.finish(attempt, query)
        except (SignInRefused, IssuerUnavailable) as error:
            return self._refuse(page, error)
        session = self._auth.begin_token_session(caller)
        if session is None:
            return self._sign_in.page(page, "Your token names too many queues for a browser to keep.", 403)
        log.info("event=issuer_sign_in key=%s", caller.key_id)
        answer = self._go_on(f"{self._root_path}{page}", "the page that you asked for")
        origin = attempt.redirect_url
        answer.headers.append("Set-Cookie", self._attempt_cookie("", 0, origin))
        answer.headers.append("Set-Cookie", self._sign_in.cookie(session, origin))
        return answer

    def _go_on(self, address: str, target: str) -> Response:
        """Return a page that leads on by itself.

        Not a redirect: browsers apply the policy for forms (`form-action`) to where a form's answer redirects to, and
        keep the session's cookie from a redirect that another site has begun (`SameSite=Strict`).
        """
        return self._pages.page("go_on.html", NOBODY, address=address, target=target)

    def _refuse(self, page: str, error: SignInRefused | IssuerUnavailable) -> Response:
        assert self._flow is not None
        log.warning("event=issuer_sign_in_refused error=%r", str(error)[:500])
        if isinstance(error, SignInRefused):
            return self._sign_in.page(page, str(error), 403)
        host = self._flow.issuer.host
        return self._sign_in.page(page, f"Nobody can sign in at {host} at the moment: {error}. Try again soon.", 503)

    def _attempt_cookie(self, value: str, seconds: int, origin: str) -> str:
        secure = "; Secure" if origin.startswith("https:") else ""
        path = f"{self._root_path}{SIGN_IN}"
        # Lax: the issuer's page leads back here.
        return f"{ATTEMPT_COOKIE}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"


def _attempt(redirect_url: str) -> "Attempt":
    from manager.jwt.code_flow import Attempt  # Here, because other managers start without joserfc.

    return Attempt.begin(redirect_url)


def _read_query(scope: Scope) -> dict[str, str]:
    # An issuer may add parameters of its own.
    try:
        return dict(parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=MAX_PARAMETERS))
    except ValueError as error:
        raise Problem(BAD_QUERY, f"the query string has more than {MAX_PARAMETERS} parameters") from error


def _read_attempt(scope: Scope) -> "tuple[Attempt | None, str]":
    """Return the attempt that a browser has begun, and the page that it wants; None and the first page if none."""
    from manager.jwt.code_flow import Attempt

    for value in cookies_of(scope, ATTEMPT_COOKIE):
        try:
            secret, redirect_url, page = json.loads(base64.urlsafe_b64decode(f"{value}==="))
            if str(secret).isascii() and str(redirect_url).isascii():
                return Attempt(str(secret), str(redirect_url)), own_page(str(page))
        except (ValueError, TypeError, RecursionError):
            continue
    return None, HOME
