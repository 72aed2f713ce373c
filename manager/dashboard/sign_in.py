"""Signing in with an API key, and out again."""

from fastapi import Request, Response

from manager.api_keys.caller import Caller
from manager.dashboard.forms import go_to, own_page, read_form
from manager.dashboard.rendering import Pages
from manager.http.asgi import FIELDS
from manager.http.authentication import ApiKeyAuth
from manager.http.dashboard_paths import HOME, SIGN_IN
from manager.http.page_origin import check_own_page
from manager.http.query_parameters import NO_PARAMETERS, Query, Text
from manager.http.sessions import COOKIE

QUERY = Query(Text("next", "The page to go to", ".{1,2048}", default=HOME))
NOBODY = Caller.of("", ())
"""Who has not signed in."""


class SignInRoutes:
    """Handlers.

    Args:
        root_path: prefix of all paths.
        issuer: host of the issuer at which people can sign in; None if they cannot.
    """

    def __init__(self, auth: ApiKeyAuth, pages: Pages, root_path: str, issuer: str | None) -> None:
        self._auth = auth
        self._pages = pages
        self._cookie_path = root_path or "/"
        self._issuer = issuer

    async def show(self, request: Request) -> Response:
        """Ask for a key."""
        query = QUERY.parse(request.scope["query_string"])
        if not self._auth.asks_for_keys:
            return go_to(HOME)
        return self.page(own_page(query["next"]))

    async def sign_in(self, request: Request) -> Response:
        """Begin a session."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        check_own_page(request.scope[FIELDS])
        form = await read_form(request)
        page = own_page(form.get("next", HOME))
        if not self._auth.asks_for_keys:
            return go_to(page)
        session = self._auth.begin_session(form.get("key", "").strip().encode())
        if session is None:
            return self.page(page, "This is not a key of this manager.", 403)
        answer = go_to(page)
        answer.headers["Set-Cookie"] = self.cookie(session, _origin(request))
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session in this browser."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        check_own_page(request.scope[FIELDS])
        answer = go_to(SIGN_IN)
        answer.headers["Set-Cookie"] = self.cookie("", _origin(request)) + "; Max-Age=0"
        return answer

    def page(self, page: str, message: str | None = None, status: int = 200) -> Response:
        """Return the page to sign in.

        Args:
            page: where to go then.
            message: what went wrong.
        """
        values = {"next": page, "message": message, "issuer": self._issuer}
        return self._pages.page("sign_in.html", NOBODY, http_status=status, **values)

    def cookie(self, value: str, origin: str) -> str:
        """Return the field that sets a session's cookie.

        Args:
            origin: of the browser's page. The browser knows whether it is that of a proxy that ends TLS.
        """
        secure = "; Secure" if origin.startswith("https:") else ""
        return f"{COOKIE}={value}; Path={self._cookie_path}; HttpOnly; SameSite=Strict{secure}"


def _origin(request: Request) -> str:
    field: bytes = request.scope[FIELDS].get(b"origin", b"")
    return field.decode("latin-1")
