"""Documents as text: what a PDF, Word file, page or plain file says, for a model to read."""
