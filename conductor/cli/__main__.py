"""``python -m conductor.cli``: the command from a checkout."""

import sys

from conductor.cli import main

sys.exit(main())
