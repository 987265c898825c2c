"""Where `can` and `python -m chittycan` begin: Ctrl-C is quiet from here on, also while the program is being loaded."""

import sys


def main() -> None:
    """Exit codes are those of `cli.main.run`."""
    try:
        from chittycan.cli.main import run

        run()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
