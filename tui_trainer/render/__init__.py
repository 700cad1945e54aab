"""Exhibits and layer tables as cells, as plain text and as HTML; curves in braille and SVG."""
