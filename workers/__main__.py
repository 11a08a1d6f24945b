"""The worker process: `python -m workers`."""

import os
import sys

from workers.worker import main

if __name__ == "__main__":
    sys.exit(main(os.environ))
