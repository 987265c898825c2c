"""Several models, one answer. Pure: who sits in (`seating`), what an answer says (`extraction`), what counts
(`counting`), and what the judge and the members are told (`prompts`). `gateway.ensemble` does the asking."""
