"""How the handbook is built: Sphinx reads the Markdown of this directory."""

project = "dockerstorage"
copyright = "the dockerstorage authors"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "dockerstorage"
myst_heading_anchors = 3
