"""What must hold for any model: a safe copy, its modes, its hidden state, how it behaves."""
