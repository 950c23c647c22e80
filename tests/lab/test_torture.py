#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The ledgers of the shipped daemons under torture, in short: `make torture` is the long form.

test_torture.py BUILD"""
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
os.execv(os.path.join(HERE, '..', 'torture', 'daemon.py'), ['daemon.py', sys.argv[1], '20', '6'])
