"""The files process: `python -m csms.files_server`."""

import os
import sys

from csms.files_server.process import main

if __name__ == "__main__":
    sys.exit(main(os.environ))
