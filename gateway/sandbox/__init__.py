"""The sandbox: a hub and a back office for every authority, on one machine, with fictitious dossiers.

`world` holds it all together, in a directory that `place` describes; `hub` is the hub's process, and `records`
says how far each dossier has come. A `back_office` answers from its `files` and takes notifications into its
`inbox`; `mischief` shows what the hub makes of a bad one. Requesters and senders are `client`, which drives zeep
over `wire` and reads `replies`; `tricks` is what a bad one would try.

`story` is the life of permits as data. `telling` runs it: `asking` and `notifying` do the steps and hold each
outcome against what was expected, by the `evidence` of the exchange log; `ending` is what it all came to.

It uses the hub's own verifier and contract, and nothing of the hub's insides besides.
"""
