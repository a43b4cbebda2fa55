"""`python -m modelsgenesis`, for torchrun and machines without the command on their path."""

import sys

from modelsgenesis.cli import main

if __name__ == "__main__":
    sys.exit(main())
