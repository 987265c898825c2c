"""Metrics as text for Prometheus: the text exposition format, version 0.0.4."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]  # what its name adds to the family's, labels, value


class Family(Struct):
    """Samples of one metric. `kind`: counter, gauge or histogram; a counter's `name` is without `_total`."""

    name: str
    kind: str
    help: str
    samples: list[Sample]


def counter(name: str, help: str, values: Iterable[tuple[Labels, float]]) -> Family:
    return Family(f"{name}_total", "counter", help, [("", labels, value) for labels, value in values])


def gauge(name: str, help: str, values: Iterable[tuple[Labels, float]]) -> Family:
    return Family(name, "gauge", help, [("", labels, value) for labels, value in values])


def histogram(
    name: str, help: str, bounds: Sequence[float], values: Iterable[tuple[Labels, Sequence[int], float]]
) -> Family:
    """`values`: for each set of labels how many fell below each bound (and not below the one before it), how many
    above all, and the sum of what was observed."""
    samples: list[Sample] = []
    for labels, counts, total in values:
        running = 0
        for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
            running += count
            samples.append(("_bucket", {**labels, "le": bound}, running))
        samples += (("_count", labels, running), ("_sum", labels, total))
    return Family(name, "histogram", help, samples)


def text(families: Iterable[Family]) -> bytes:
    """The page that a scraper reads."""
    lines: list[str] = []
    for family in families:
        lines += (f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}")
        lines += (
            f"{family.name}{suffix}{_braced(labels)} {float(value)!r}" for suffix, labels, value in family.samples
        )
    return "".join(f"{line}\n" for line in lines).encode()


def _braced(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPED)}"' for name, value in labels.items()) + "}"
