"""Double-entry bookkeeping in plain text."""
