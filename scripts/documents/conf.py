"""How Sphinx builds the site. It reads these names."""

project = "workmanager"
root_doc = "docs/README"
extensions = ["myst_parser"]
myst_heading_anchors = 4  # the fragments of links are those that GitHub gives headings
smartquotes = False  # texts stay as they are on GitHub, dashes of options too
html_theme = "furo"
html_title = "workmanager"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = False
html_css_files = ["site.css"]
html_static_path = ["static"]
html_extra_path = ["static/index.html"]
pygments_style = "friendly"
pygments_dark_style = "monokai"
