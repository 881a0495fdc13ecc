"""`python -m telegraf_bitcoin_ipc`: the command line."""

import sys

from telegraf_bitcoin_ipc.cli import main

if __name__ == "__main__":
    sys.exit(main())
