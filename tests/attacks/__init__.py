"""The catalogue of attacks against a running hub: one case for each flaw of each row, with its accepted twin."""
