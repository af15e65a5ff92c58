"""How the handbook is built: Sphinx reads the Markdown of this directory.

The reference is made from the docstrings at each build, by ``_extension/docstrings.py``.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extension"))

project = "dockerstorage"
copyright = "the dockerstorage authors"
extensions = ["myst_parser", "docstrings"]
exclude_patterns = ["_extension"]
nitpicky = True  # with make's -W a link that leads nowhere ends the build
highlight_language = "bash"  # of blocks that do not say theirs: mostly commands

html_theme = "furo"
html_title = "dockerstorage"
html_static_path = ["_static"]
html_css_files = ["handbook.css"]
html_copy_source = False

myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block"]
