"""Whether processes are forked here."""

import sys

FORKS = sys.platform != "win32"
"""Whether a new worker costs milliseconds; spawned ones import torch anew."""
