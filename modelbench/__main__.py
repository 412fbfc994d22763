"""`python -m modelbench` and the console script."""

import sys


def main() -> None:
    """Run and exit with the status that the command line promises."""
    # Imported here, since every worker process imports this file again and needs no Hydra.
    from modelbench.app import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
