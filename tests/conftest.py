"""Hypothesis without clocks: how long an example takes says nothing about the code, and much about the machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
