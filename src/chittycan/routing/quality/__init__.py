"""What an answer of a model to a prompt is worth, learnt from scored answers: pure, no library but Python's own."""
