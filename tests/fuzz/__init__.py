"""Fuzzing: what reads bytes of others is fed anything at all, and may refuse it in its own words only.

`make fuzz MINUTES=n` lets atheris look for inputs; `test_replay` runs what was found, and a fixed number of inputs
of each target, with every test.
"""
