"""What an exhibit shows as HTML that needs nothing else: no script, no font, no file beside it."""
