"""Several nodes: what PostgreSQL, the network, the disk or a node can do to them, and a balancer before them.

Everything is real and is started by the tests: PostgreSQL with its standby, HAProxy, `gateway serve`.
"""
