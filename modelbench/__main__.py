"""`python -m modelbench` and the console script."""

import sys


def main() -> None:
    """Run and exit with the status that the command line promises."""
    # Imported here, since every worker process imports this file again and needs no Hydra.
    from modelbench.system.signals import Terminated, ignore, install

    install()
    try:
        from modelbench.execution.cli.app import run

        status = run(sys.argv[1:])
    except Terminated as end:  # before there was anything to close
        status = int(str(end.code))
    ignore()
    sys.exit(status)


if __name__ == "__main__":
    main()
