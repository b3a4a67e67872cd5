"""Settings of Sphinx for the documentation; `docs/site.py` builds it."""

project = "seqmem"
author = copyright = "The seqmem authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "seqmem"
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["tables.css"]
html_theme_options: dict[str, list[str]] = {"footer_icons": []}
nitpicky = False
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
suppress_warnings = ["myst.header"]  # a page that is a part of README begins below level 1
