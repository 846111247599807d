"""Asks the whole process to end when it is imported."""

import sys

sys.exit("no license found")
