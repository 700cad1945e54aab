"""Requirements on submitted models: what is checked, each submission in a process with limits."""
