"""Pure decisions: which models may answer, in which order, and what a failure means. No I/O, no clock."""
