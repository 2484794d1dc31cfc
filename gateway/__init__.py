"""The Working in Belgium exchange gateway.

The life of a message is one function for each pattern of exchange: a question is carried by
`gateway.broker.consult`, a document by `document`, what is told by `notify` and then `deliver` or `mailbox`; all of
them begin with `receive`. Everything they call is found by following the names on those pages. Packages, in order of dependency (imports point down only):

    cli          the commands
    app          composition root: opens and starts
    assembly     the paths and the courier, put together
    loading      settings to rules and keys, every finding at once
    reading      the files that settings name
    kept         a reply as its recipient kept it
    config       deployment settings
    bench        the benchmark
    sandbox      reference back offices and the permit story
    edge         HTTP listeners
    adapters     store, spokes, keys, metrics
    broker       the path
    policy       may it be asked; what may be released
    identity     certificates and authorities
    exchangelog  the evidence: entries, Merkle tree, checkpoints, proofs
    agreement    contracts compiled, every reference resolved
    wss          WS-Security: verify and sign
    soap         the only XML parser; envelopes and faults
    refusal      the closed list of codes
    model        vocabulary and stage types
"""

__version__ = "0.1.0"
