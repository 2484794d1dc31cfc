"""The sandbox: a hub and a back office for every authority, on one machine, with fictitious dossiers.

`world` holds it all together, in a directory that `place` describes; `hub` is the
hub's process. Providers are `back_office` with the
`files` they answer from, and with `mischief` to show what the hub makes of a bad one. Requesters are
`client`, which drives zeep, and `tricks` for what a bad one would try. `story` is the life of a permit as
data; `telling` runs it and compares every outcome with what was expected.

It uses the hub's own verifier and contract, and nothing of the hub's insides besides.
"""
