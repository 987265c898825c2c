"""Measurements against rivals: `python -m bench.run`, `.memory`, `.startup`, `.install`; on recorded answers:
`.ensembles`. Each takes `--quick`."""
