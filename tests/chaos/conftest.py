# SPDX-License-Identifier: Apache-2.0
"""The modules of the chaos test are found by their names."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
