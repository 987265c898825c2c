"""One call from admission to record, whichever model answers it."""
