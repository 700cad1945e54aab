"""Documents as Markdown, and as notebooks whose texts are Markdown."""
