"""Where models meet work: an agent is instructions and a schema for one kind of task; `pipeline` runs them on mail."""
