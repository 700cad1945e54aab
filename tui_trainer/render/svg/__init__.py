"""An exhibit as one SVG document: light, for paper; no scripts, no fonts, no other files."""
