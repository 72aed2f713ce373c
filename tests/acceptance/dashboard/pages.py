"""The dashboard as a browser without scripts uses it: opens pages, reads tables, presses buttons."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode

import httpx

_VOID = {"input", "meta", "link", "img", "br"}


@dataclass
class Form:
    """A form: where it is sent, what is in it, and what its button says."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    label: str = ""


class Page(HTMLParser):
    """A page.

    Attributes:
        status: of the answer.
        text: what it shows, words separated by single spaces.
        rows: of all tables, their cells' texts.
        links: addresses by text.
        forms: all of them.
    """

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.status, self.html = response.status_code, response.text
        self.rows: list[list[str]] = []
        self.links: dict[str, str] = {}
        self.forms: list[Form] = []
        self.duplicate_ids: list[str] = []
        self._ids: set[str] = set()
        self._texts: list[str] = []
        self._open: list[str] = []
        self._href = ""
        self.feed(self.html)
        assert self._open == [], "an element is not closed"
        self.text = _plain("".join(self._texts))
        self.rows = [[_plain(cell) for cell in row] for row in self.rows]
        self.links = {_plain(text): href for text, href in self.links.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.duplicate_ids += [given["id"]] if given["id"] in self._ids else []
            self._ids.add(given["id"])
        if tag not in _VOID and tag not in ("html", "head", "body"):
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "a":
            self._href, self._link = given.get("href", ""), ""
        elif tag == "form":
            self.forms.append(Form(given["action"]))
        elif tag == "input" and self.forms:
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button" and self.forms:
            self.forms[-1].label = given.get("aria-label", "")
        self._texts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID and tag not in ("html", "head", "body"):
            assert self._open.pop() == tag, f"</{tag}> closes something else"
        if tag == "a":
            self.links[self._link] = self._href
        self._texts.append(" ")

    def handle_data(self, data: str) -> None:
        if self._open[-1:] in (["title"], ["script"], ["style"]):
            return
        self._texts.append(data)
        if self.rows and ("td" in self._open or "th" in self._open):
            self.rows[-1][-1] += data
        if "a" in self._open:
            self._link += data
        if self._open[-1:] == ["button"] and self.forms and not self.forms[-1].label:
            self.forms[-1].label = _plain(data)

    def row(self, first_cell: str) -> list[str]:
        """Return the row that begins with this text."""
        (found,) = [row for row in self.rows if row and row[0] == first_cell]
        return found

    def form(self, label: str) -> Form:
        """Return the form whose button has this text or name."""
        (found,) = [form for form in self.forms if form.label == label]
        return found


class Visitor:
    """Somebody with a browser. Cookies are kept."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self._origin = str(client.base_url).rstrip("/")

    def open(self, path: str) -> Page:
        """Open a page."""
        page = Page(self.client.get(path, headers={"Accept": "text/html"}, follow_redirects=True))
        assert page.duplicate_ids == []
        return page

    def send(self, form: Form, **fields: str) -> Page:
        """Fill in a form and press its button."""
        return Page(self.post(form.action, form.fields | fields, follow_redirects=True))

    def press(self, page: Page, label: str) -> Page:
        """Press a button of a page."""
        return self.send(page.form(label))

    def sign_in(self, key: str) -> Page:
        """Sign in with a key."""
        return self.send(self.open("/").form("Sign in"), key=key)

    def post(
        self, path: str, fields: dict[str, str], *, follow_redirects: bool = False, **headers: str
    ) -> httpx.Response:
        """Send a form as a browser does."""
        given = {"Accept": "text/html", "Origin": self._origin, "Sec-Fetch-Site": "same-origin"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        given.setdefault("Content-Type", "application/x-www-form-urlencoded")
        return self.client.post(path, content=urlencode(fields), headers=given, follow_redirects=follow_redirects)


def _plain(text: str) -> str:
    return " ".join(text.split())
