"""Links to the outside world: each a pure core and a thin client."""
