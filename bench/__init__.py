"""Measurements against rivals: `python -m bench.run`, `.memory`, `.startup`, `.install`; each takes `--quick`."""
