"""The lessons, a folder each: text, arithmetic, experiment."""
