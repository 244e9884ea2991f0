"""Say that it was run."""

import sys

sys.stdout.write("seen\n")
