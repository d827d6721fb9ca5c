"""The command: `python -m sluice_dataflow --order gs://...`, with Beam's own options."""

import logging
import sys

from sluice_dataflow.failure import Failure
from sluice_dataflow.pipeline import run


def main() -> int:
    """Carries out the order, and prints what failed without a traceback."""
    logging.getLogger().setLevel(logging.INFO)
    try:
        run()
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
