"""Web pages: HTML, CSS and JavaScript as browsers get them, without a build step."""
