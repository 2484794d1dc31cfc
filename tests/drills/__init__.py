"""Adversary drills: somebody with the store, a backup or the log's key tries something; who notices, and by what code."""
