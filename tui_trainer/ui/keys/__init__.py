"""Key bindings of all screens, and the user's changes to them."""
