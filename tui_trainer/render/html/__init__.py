"""An exhibit as self-contained HTML: no scripts, no fonts, no other files."""
